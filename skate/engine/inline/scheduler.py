"""What runs next: ready work in submission order or as the seed says; who waits for what; and deadlocks.

Work is a function to call. A thread runs work only while it waits, from the frame that waits: `drive` is the loop. A fiber that waits
switches back to that loop. A session is meant for one thread; a second one that waits runs work too, as the first may be busy in user
code, but it leaves all to the thread that started the session while that one is idle.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import random
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from skate import exceptions
from skate.engine.inline.fiber import Fiber, Latch, current_fiber

_SLICE = 0.005
"""Seconds between looks at sockets of event loops, while nothing else is to be done."""
_WARN_AFTER = 10.0
"""Seconds of waiting for other threads before it is mentioned in the log."""

Work = Callable[[], None]


class _Queue:
    """Work in order of arrival, from which any may be taken."""

    def __init__(self) -> None:
        self.items: deque[tuple[int, Work]] = deque()

    def take(self, index: int) -> Work:
        if index:
            self.items.rotate(-index)
            work = self.items.popleft()[1]
            self.items.rotate(index)
            return work
        return self.items.popleft()[1]


class Timer:
    """Something to do at a time; forget it by setting `action` to None."""

    __slots__ = ("action",)

    def __init__(self, action: Work | None) -> None:
        self.action = action


class Scheduler:
    """The ready work of a session, and the waits."""

    def __init__(self, seed: int | None) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.random = None if seed is None else random.Random(seed)
        self.home = threading.get_ident()
        self.deferred: deque[Work] = deque()
        """Work from `__del__` and weakref callbacks, which may come at any moment and take no lock."""
        self.on_ready: Callable[[], None] = lambda: None
        """Called, with the lock held, when work arrives: wakes foreign event loops."""
        self.watching: Callable[[], bool] = lambda: False
        """Looks at the sockets of actors' event loops; False if there are none."""
        self.stuck: Callable[[], str] = lambda: ""
        """What the engine knows of why nothing runs."""
        self._shared = _Queue()
        self._own: dict[int, _Queue] = {}
        self._numbers = itertools.count()
        self._timers: list[tuple[float, int, Timer]] = []
        self._depth: dict[int, int] = {}
        self._home_idle = False
        self._idle_for_ever = 0
        self._parked: dict[Fiber, None] = {}
        self._interrupted = False

    # -- ready work ----------------------------------------

    def push(self, work: Work, thread: int | None = None) -> None:
        """Have `work` called soon, by that thread or by any."""
        with self.lock:
            queue = self._shared if thread is None else self._own.setdefault(thread, _Queue())
            queue.items.append((next(self._numbers), work))
            self.changed.notify_all()
            self.on_ready()

    def ready_count(self) -> int:
        """How much work waits to be run."""
        return len(self._shared.items)

    def _pick(self) -> Work | None:
        me = threading.get_ident()
        with self.lock:
            own = self._own.get(me)
            mine = own.items if own is not None else deque()
            shared = self._shared.items
            if self._home_idle and me != self.home:
                shared = deque()
            if not mine and not shared:
                return None
            if self.random is not None:
                index = self.random.randrange(len(mine) + len(shared))
                if index < len(mine):
                    assert own is not None
                    return own.take(index)
                return self._shared.take(index - len(mine))
            if own is not None and mine and (not shared or mine[0][0] < shared[0][0]):
                return own.take(0)
            return self._shared.take(0)

    def has_work(self) -> bool:
        """Whether this thread could run something now."""
        own = self._own.get(threading.get_ident())
        return bool(self._shared.items or self.deferred or (own is not None and own.items))

    def run_one(self) -> bool:
        """Run one piece of ready work; False if there is none."""
        self.run_deferred()
        self._fire_timers()
        work = self._pick()
        if work is None:
            return False
        me = threading.get_ident()
        self._depth[me] = self._depth.get(me, 0) + 1
        try:
            work()
        finally:
            self._depth[me] -= 1
        return True

    def run_deferred(self) -> None:
        """Do what `__del__` and weakref callbacks have asked for."""
        while self.deferred:
            try:
                work = self.deferred.popleft()
            except IndexError:
                return  # another thread was faster
            work()

    def make_progress(self) -> None:
        """Run one piece of ready work, if the caller is no fiber and no work itself: what polls must not stand still."""
        if current_fiber() is None and not self._depth.get(threading.get_ident(), 0):
            self.run_one()

    def run_until(self, done: Callable[[], bool]) -> None:
        """Run ready work until `done()` or until nothing is ready, if the caller is no fiber and no work itself."""
        if current_fiber() is not None or self._depth.get(threading.get_ident(), 0):
            return
        while not done() and self.run_one():
            pass

    # -- timers ----------------------------------------

    def at(self, when: float, action: Callable[[], None]) -> Timer:
        """Call `action` once `time.monotonic()` has reached `when`."""
        timer = Timer(action)
        with self.lock:
            heapq.heappush(self._timers, (when, next(self._numbers), timer))
            self.changed.notify_all()
            self.on_ready()
        return timer

    def next_timer(self) -> float | None:
        """When the next timer is due."""
        with self.lock:
            while self._timers and self._timers[0][2].action is None:
                heapq.heappop(self._timers)
            return self._timers[0][0] if self._timers else None

    def _fire_timers(self) -> None:
        while self._timers:
            with self.lock:
                when = self.next_timer()
                if when is None or when > time.monotonic():
                    return
                action = heapq.heappop(self._timers)[2].action
            if action is not None:
                action()

    # -- waiting ----------------------------------------

    def wait(self, latch: Latch, timeout: float | None, on_park: Callable[[Fiber, bool], None]) -> bool:
        """Wait until `latch` is at zero; False if `timeout` seconds passed first.

        Raises:
            DeadlockError: nothing will ever run again, and no timeout was given.
        """
        if latch.left <= 0:
            return True
        fiber = current_fiber()
        if fiber is None:
            return self._drive(latch, None if timeout is None else time.monotonic() + timeout)
        on_park(fiber, True)
        try:
            self._park(fiber, latch, timeout)
        finally:
            on_park(fiber, False)
        return latch.left <= 0

    def _park(self, fiber: Fiber, latch: Latch, timeout: float | None) -> None:
        if fiber.doomed:
            raise _ended()
        if fiber.pending_error is not None:
            error, fiber.pending_error = fiber.pending_error, None
            raise error
        with self.lock:
            fiber.latch = latch
            self._parked[fiber] = None
            latch.on_zero = lambda _latch: self._unpark(fiber, latch)
            if latch.left <= 0:
                self._unpark(fiber, latch)
        timer = None
        if timeout is not None:
            timer = self.at(time.monotonic() + timeout, lambda: self._unpark(fiber, latch))
        try:
            fiber.give_way()
        finally:
            if timer is not None:
                timer.action = None
        if fiber.doomed:
            raise _ended()

    def _unpark(self, fiber: Fiber, latch: Latch) -> None:
        with self.lock:
            if fiber.latch is latch:
                fiber.latch = None
                self._parked.pop(fiber, None)
                self.push(fiber.go_on, fiber.thread)

    def give_way(self, fiber: Fiber) -> None:
        """Let other work run first; called in the fiber."""
        if fiber.doomed:
            raise _ended()
        self.push(fiber.go_on, fiber.thread)
        fiber.give_way()
        if fiber.doomed:
            raise _ended()

    def throw(self, fiber: Fiber, error: BaseException) -> None:
        """Have `error` raised in the fiber where it waits, or where it waits next."""
        with self.lock:
            fiber.pending_error = error
            if fiber.latch is not None:
                self._unpark(fiber, fiber.latch)

    def doom(self, fiber: Fiber) -> None:
        """Unwind the fiber: it is not to run its user's code any further."""
        fiber.doomed = True
        self.throw(fiber, _ended())

    def _drive(self, latch: Latch, deadline: float | None) -> bool:
        latch.on_zero = lambda _latch: self._notify()
        warn_at = time.monotonic() + _WARN_AFTER
        with _Interrupts(self):
            while latch.left > 0:
                ran = self.run_one()
                if self._interrupted:
                    self._interrupted = False
                    raise KeyboardInterrupt
                if latch.left <= 0:
                    break
                if deadline is not None and time.monotonic() >= deadline:
                    return False
                if not ran:
                    self._idle(latch, deadline, warn_at)
        return True

    def _notify(self) -> None:
        with self.lock:
            self.changed.notify_all()

    def _idle(self, latch: Latch, deadline: float | None, warn_at: float) -> None:
        """Nothing is ready: sleep until something may be."""
        watching = self.watching()
        me = threading.get_ident()
        with self.lock:
            if latch.left <= 0 or self.deferred or self._has_own_work(me):
                return
            timer = self.next_timer()
            until = min((when for when in (deadline, timer) if when is not None), default=None)
            endless = until is None and not watching
            self._home_idle = self._home_idle or me == self.home
            self._idle_for_ever += endless
            try:
                if endless and self._idle_for_ever >= _threads_that_may_act():
                    raise exceptions.DeadlockError(self._deadlock(latch))
                if endless and time.monotonic() >= warn_at > time.monotonic() - 1:
                    logging.getLogger("skate").warning(
                        "waiting for other threads, as nothing is ready here. %s", self._deadlock(latch)
                    )
                self.changed.wait(self._nap(until, watching))
            finally:
                self._idle_for_ever -= endless
                if me == self.home:
                    self._home_idle = False

    def _has_own_work(self, me: int) -> bool:
        own = self._own.get(me)
        if own is not None and own.items:
            return True
        return bool(self._shared.items) and (me == self.home or not self._home_idle)

    @staticmethod
    def _nap(until: float | None, watching: bool) -> float:
        # Other threads end without a word, so even an endless wait looks up now and then.
        nap = _SLICE if watching else 1.0
        return nap if until is None else max(0.0, min(nap, until - time.monotonic()))

    def describe_waits(self) -> list[str]:
        """Who waits for what, in words."""
        with self.lock:
            return [
                f"{fiber.who} waits for {fiber.latch.what()}"
                for fiber in self._parked
                if fiber.latch is not None
            ]

    def _deadlock(self, latch: Latch) -> str:
        lines = [f"the caller waits for {latch.what()}", *self.describe_waits()]
        more = self.stuck()
        if more:
            lines.append(more)
        shown = "; ".join(lines[:12]) + (f"; and {len(lines) - 12} more" if len(lines) > 12 else "")
        return f"Deadlock: nothing can run any more: {shown}. Give get() a timeout, or break the circle."

    def clear(self) -> None:
        """Forget all work and all timers."""
        with self.lock:
            self._shared = _Queue()
            self._own.clear()
            self._timers.clear()
            self.changed.notify_all()
        self.deferred.clear()

    @property
    def parked(self) -> list[Fiber]:
        """The fibers that wait."""
        with self.lock:
            return list(self._parked)


class _Interrupts:
    """While the main thread runs work: Ctrl-C interrupts the task under way, and then whoever waits."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._previous: Any = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self._previous = signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:
        self._scheduler._interrupted = current_fiber() is not None
        signal.default_int_handler(number, frame)

    def __exit__(self, *_exc: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)


def _ended() -> BaseException:
    from greenlet import GreenletExit

    return GreenletExit()


def _threads_that_may_act() -> int:
    """How many threads may do something yet: all but those of a thread pool that wait for work, which somebody must give them."""
    pools = sys.modules.get("concurrent.futures.thread")
    idle = 0
    if pools is not None:
        frames = sys._current_frames()
        waits = pools._worker.__code__
        idle = sum(
            frame.f_code is waits
            for thread in threading.enumerate()
            if (frame := frames.get(thread.ident or 0)) is not None
        )
    return threading.active_count() - idle
