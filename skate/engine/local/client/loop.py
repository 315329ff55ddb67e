"""Who reads the sockets.

One thread at a time *drives*: it polls, and handles what comes. A thread that waits for a result drives by itself, so that a round
trip needs no other thread. While nobody waits, a background thread takes over after a few ms, and leaves as soon as somebody wants
to wait. Threads that wait while another drives sleep until their result is there or the driving falls to them.

`mutex` guards all state of the engine; whoever drives holds it while it handles messages, never while it polls.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.core.ref import ERROR
from skate.engine.local import poller
from skate.engine.local.wire import Conn, ProtocolError

if TYPE_CHECKING:
    from skate.engine.local.client.spin import Spin

_TICK = 0.003
_SLOW_TICK = 0.02
_PARK_AFTER = 0.2


class Latch:
    """Counts down to the moment that a thread waits for."""

    __slots__ = ("left", "wake")

    def __init__(self, left: int) -> None:
        self.left = left
        self.wake: Any = None

    def __call__(self, _thing: Any = None) -> None:
        self.left -= 1
        if self.left <= 0 and self.wake is not None:
            _open(self.wake)


class FirstError(Latch):
    """A latch that an error brings down at once, as `get` need not wait for the rest then."""

    __slots__ = ()

    def __call__(self, thing: Any = None) -> None:
        if thing is not None and thing._kind == ERROR:
            self.left = 0
        super().__call__(thing)


def _open(lock: Any) -> None:
    try:
        lock.release()
    except RuntimeError:
        pass  # it was open already


class Loop:
    """The sockets of one process."""

    def __init__(
        self,
        housekeep: Callable[[float], None],
        busy: Callable[[], bool],
        pressing: Callable[[], bool],
        before_poll: Callable[[], float | None],
    ) -> None:
        self.mutex = threading.Lock()
        self.poller = poller.make_poller()
        self.conns: dict[int, Conn] = {}
        self.handlers: dict[int, Callable[[], None]] = {}
        """What to do about descriptors that are not connections, such as a listening socket (called with the mutex held)."""
        self.dirty: set[Conn] = set()
        self.deferred: deque[tuple[Callable[[Any], None], Any]] = deque()
        self.on_lost: Callable[[Conn], None] = lambda _conn: None
        self.housekeeping_due = False
        """Whether polls must end soon for `housekeep`: there are leases or half-sent work to look after."""
        self.attached = False
        """Whether an asyncio loop reads the sockets."""
        self.spin: Spin | None = None
        """Looks for an answer before the thread that waits for it sleeps; for the one process that most wait for: the driver."""
        self.before_poll = before_poll
        """Writes what is still unwritten; the most seconds that the poll may take then, or None."""
        self.closed = False
        self.after_step: Callable[[], None] | None = None
        self.before_park: Callable[[], None] | None = None
        self.parked_fd = -1
        """A descriptor that wakes the background from its sleep: news for a process that does nothing itself."""
        self._housekeep = housekeep
        self._busy = busy
        self._pressing = pressing
        self._role = threading.Lock()
        self._owner = 0
        self._handling = 0
        self._interrupted: Callable[[], None] | None = None
        self._background = False
        self._wanted = False
        self._followers: deque[Latch] = deque()
        self._steps = 0
        self._next_housekeeping = 0.0
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self.poller.add(self._wake_read)
        self._thread: threading.Thread | None = None
        self.parked = False
        self._alarm = 0.0
        """When the background is to end the poll of the thread that drives; 0: never."""
        self._park = threading.Lock()
        self._park.acquire()
        self._nudge_read, self._nudge_write = os.pipe()
        os.set_blocking(self._nudge_write, False)

    # -- connections ----------------------------------------

    def add(self, conn: Conn) -> None:
        """Read from a connection from now on."""
        self.conns[conn.fd] = conn
        self.poller.add(conn.fd)

    def remove(self, conn: Conn) -> None:
        """Close a connection."""
        if self.conns.pop(conn.fd, None) is not None:
            self.poller.remove(conn.fd)
        self.dirty.discard(conn)
        if conn.fd == self.parked_fd:
            self.parked_fd = -1
        conn.close()

    def flush(self, conn: Conn) -> None:
        """Write what is queued on one connection (with the mutex held)."""
        wanted = conn.wants_write
        conn.flush()
        if conn.wants_write != wanted and conn.fd in self.conns:
            self.poller.change(conn.fd, conn.wants_write)
        self.dirty.discard(conn)

    def flush_dirty(self) -> None:
        """Write what is queued anywhere (with the mutex held)."""
        dirty = self.dirty
        while dirty:
            self.flush(dirty.pop())

    # -- driving ----------------------------------------

    def wait(self, latch: Latch, timeout: float | None, loose: bool = False) -> bool:
        """Wait until the latch is down; False after `timeout` seconds.

        A loose timeout may be late by some ms. It is kept by the background, as a poll with a timer costs more than one without.
        """
        if latch.left <= 0:
            return True
        deadline = None if timeout is None else time.monotonic() + timeout
        if self._owner == threading.get_ident():
            return self._drive(latch, deadline, False)  # called from a callback of this very thread
        while latch.left > 0:
            if self._role.acquire(blocking=False):
                self._owner = threading.get_ident()
                try:
                    return self._drive(latch, deadline, loose)
                finally:
                    self._alarm = 0.0
                    self._leave()
            if not self._follow(latch, deadline):
                return latch.left <= 0
        return True

    def _drive(self, latch: Latch, deadline: float | None, loose: bool) -> bool:
        if loose and deadline is not None:
            self._alarm = deadline
            self.nudge()
        while latch.left > 0:
            left = None
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    # One look without waiting: what has arrived counts, even for a timeout of zero.
                    self.step(0)
                    return latch.left <= 0
            if self.closed:
                return False
            self.step(None if loose else left)
        return True

    def _follow(self, latch: Latch, deadline: float | None) -> bool:
        """Sleep until the latch is down or the role is free; False at the deadline."""
        wake = threading.Lock()
        wake.acquire()
        latch.wake = wake
        with self.mutex:
            self._followers.append(latch)
        if self._background:
            self._wanted = True
            self.wake()
        if latch.left > 0 and self._role.locked():
            left = -1.0 if deadline is None else max(0.0, deadline - time.monotonic())
            wake.acquire(timeout=min(left, 1.0) if left >= 0 else 1.0)
        with self.mutex:
            if latch in self._followers:
                self._followers.remove(latch)
        latch.wake = None
        return deadline is None or time.monotonic() < deadline

    def _leave(self) -> None:
        """Give up driving, to a thread that waits if there is one."""
        self._owner = 0
        self._role.release()
        if self._followers:
            try:
                follower = self._followers[0]
            except IndexError:
                return
            wake = follower.wake
            if wake is not None:
                _open(wake)

    def step(self, timeout: float | None) -> None:
        """Poll once and handle what comes. The caller drives."""
        if self.closed:
            return
        self._steps += 1
        limit = self.before_poll()
        if self.housekeeping_due:
            limit = 0.005 if limit is None else min(limit, 0.005)
        if limit is not None:
            timeout = limit if timeout is None else min(timeout, limit)
        events = None
        if self.spin is not None and not self._background and (timeout is None or timeout > 0):
            events = self.spin.look(self.poller.poll)
        if not events:
            events = self.poller.poll(timeout)
        if events:
            self.handle(events)
        if self.housekeeping_due:
            now = time.monotonic()
            if now >= self._next_housekeeping:
                self._next_housekeeping = now + 0.005
                with self.mutex:
                    self._housekeep(now)
                    self.flush_dirty()
        if self.deferred:
            self.run_deferred()
        if self.after_step is not None:
            self.after_step()

    def handle(self, events: list[tuple[int, int]]) -> None:
        """Handle events that a poll has returned."""
        with self.mutex:
            self._handling = threading.get_ident()
            try:
                for fd, event in events:
                    conn = self.conns.get(fd)
                    if conn is None:
                        if fd == self._wake_read:
                            os.read(fd, 4096)
                        elif fd in self.handlers:
                            self.handlers[fd]()
                        continue
                    if event & poller.READ:
                        try:
                            messages = conn.receive()
                        except ProtocolError:
                            messages = None
                        if messages is None:
                            self.on_lost(conn)
                            continue
                        if messages and conn.on_messages is not None:
                            conn.on_messages(conn, messages)
                    if event & poller.WRITE:
                        self.dirty.add(conn)
                self.flush_dirty()
            finally:
                self._handling = 0
                interrupted, self._interrupted = self._interrupted, None
        if interrupted is not None:
            interrupted()

    def interrupt(self, action: Callable[[], None]) -> None:
        """Do what a signal asks for, which may raise: now, or as soon as this thread has handled the messages it is at.

        Signals come to the main thread. What another thread handles meanwhile is no matter: to leave the action to that one would
        raise there, where nobody expects it.
        """
        if self._handling == threading.get_ident():
            self._interrupted = action
        else:
            self._interrupted = None
            action()

    def run_deferred(self) -> None:
        """Run the callbacks that users have left, without the mutex."""
        while self.deferred:
            try:
                callback, argument = self.deferred.popleft()
            except IndexError:
                return
            try:
                callback(argument)
            except Exception:
                # Not this thread's fault, which drives for all: it goes on.
                import logging

                logging.getLogger("skate").exception("a callback for a result raised an exception.")

    def try_step(self) -> None:
        """Poll without waiting, unless another thread drives."""
        if self._role.acquire(blocking=False):
            self._owner = threading.get_ident()
            try:
                self.step(0)
            finally:
                self._leave()

    def wake(self) -> None:
        """End the poll under way, from any thread."""
        try:
            os.write(self._wake_write, b".")
        except (BlockingIOError, OSError):
            pass  # full: it will wake anyway

    # -- the background ----------------------------------------

    def nudge(self) -> None:
        """There is something that must not wait until somebody waits for it."""
        if self.parked:
            self.parked = False
            os.write(self._nudge_write, b".")
        elif self._thread is None and not self.closed:
            self._thread = threading.Thread(target=self._run, name="skate-loop", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            self._look_after()
        except BaseException:
            if self.closed:
                return  # its descriptors were taken away in the middle of a poll
            import logging

            # A defect of ours. What the message was about would be waited for, for ever: better that all who wait are told.
            logging.getLogger("skate").exception("a message could not be handled: the session can't go on.")
            with self.mutex:
                for conn in list(self.conns.values()):
                    self.on_lost(conn)

    def _look_after(self) -> None:
        tick = _TICK
        idle_since = time.monotonic()
        seen = -1
        while not self.closed:
            self._park.acquire(timeout=tick)
            if self.closed:
                return
            if self._alarm and time.monotonic() >= self._alarm:
                self._alarm = 0.0
                self.wake()
            if not self._busy() and not self._alarm:
                if time.monotonic() - idle_since > _PARK_AFTER:
                    if self.before_park is not None:
                        self.before_park()
                    self.parked = True
                    if not self._busy() and not self._alarm and self._sleep():
                        self.try_step()
                    self.parked = False
                    idle_since = time.monotonic()
                    tick = _TICK
                continue
            idle_since = time.monotonic()
            if tick < _SLOW_TICK and not self._pressing():
                tick = _SLOW_TICK
                continue
            if self._steps != seen or not self._role.acquire(blocking=False):
                # Somebody drives, or did since the last look.
                seen = self._steps
                tick = min(tick * 1.5, _SLOW_TICK)
                continue
            tick = _TICK
            self._owner = threading.get_ident()
            self._background = True
            try:
                if self.attached:
                    self.step(0)
                else:
                    while not (self._wanted or self.closed or not self._busy() or self._followers):
                        self.step(0.1)
            finally:
                self._background = False
                self._wanted = False
                seen = self._steps
                self._leave()

    def _sleep(self) -> bool:
        """Until `nudge`; True if there is news on `parked_fd` instead."""
        sleeper = select.poll()
        for fd in (self._nudge_read, self.parked_fd):
            if fd >= 0:
                sleeper.register(fd, select.POLLIN)
        woken = {fd for fd, _event in sleeper.poll()}
        if self._nudge_read in woken:
            os.read(self._nudge_read, 4096)
        return self.parked_fd in woken

    def close(self) -> None:
        """End the background thread and close every socket."""
        self.closed = True
        self.wake()
        _open(self._park)
        os.write(self._nudge_write, b".")
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=2)
        # Who drives may be about to poll: the descriptors stay until it has left, unless it is at a user's callback.
        held = self._owner != threading.get_ident() and self._role.acquire(timeout=2)
        with self.mutex:
            for conn in list(self.conns.values()):
                self.remove(conn)
        self.poller.close()
        self._close_pipes()
        if held:
            self._leave()

    def abandon(self) -> None:
        """In a forked child: let go of the parent's sockets without a word."""
        self.closed = True
        for conn in self.conns.values():
            conn.sock.close()
        self.conns.clear()
        self.poller.close()
        self._close_pipes()

    def _close_pipes(self) -> None:
        for fd in (self._wake_read, self._wake_write, self._nudge_read, self._nudge_write):
            os.close(fd)
