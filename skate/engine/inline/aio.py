"""asyncio: the event loop of an asyncio actor, run step by step, and event loops of others that wait for refs."""

from __future__ import annotations

import asyncio
import functools
import inspect
import select
import selectors
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVarTuple, Unpack

from skate import exceptions
from skate.engine.inline.calls import Call, current
from skate.engine.inline.fiber import Fiber, Latch

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable
    from contextvars import Context

    from skate.engine.inline.actors import Actor
    from skate.engine.inline.engine import InlineEngine

Ts = TypeVarTuple("Ts")
_CLOSING_STEPS = 1000
"""Steps that cancelled coroutines get to end."""


class _Selector(selectors.DefaultSelector):
    """Never sleeps: tells how long the loop would, and stops it after one step."""

    wanted: float | None = 0.0

    def __init__(self, stop: Callable[[], None]) -> None:
        super().__init__()
        self._stop = stop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._stop()
        found = super().select(0)
        self.wanted = 0.0 if found else timeout
        return found


class ActorLoop(asyncio.SelectorEventLoop):
    """The event loop of one asyncio actor. A step runs in a fiber, so that a coroutine may call `get` too."""

    def __init__(self, engine: InlineEngine, actor: Actor) -> None:
        self._engine = engine
        self._actor = actor
        self._queued = True  # until it is set up, nothing can run
        self._ended = False
        self.stepping: Fiber | None = None
        self._steps = _Selector(self.stop)
        super().__init__(self._steps)
        self._own_sockets = len(self._steps.get_map())
        self._queued = False
        engine.loops[self] = None

    # -- steps -------------------------------------------------------------------------------------------------------------

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = super().call_soon(callback, *args, context=context)
        self.poke()
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = super().call_soon_threadsafe(callback, *args, context=context)
        self.poke()
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = super().call_at(when, callback, *args, context=context)
        self.poke()
        return handle

    def poke(self) -> None:
        """Have a step run soon."""
        if not self._queued and self.stepping is None:
            self._queued = True
            self._engine.scheduler.push(self._step)

    def watches_sockets(self) -> bool:
        """Whether coroutines wait for sockets or pipes."""
        return not self.is_closed() and len(self._steps.get_map()) > self._own_sockets

    def look(self) -> None:
        """Have a step run if a socket or pipe is ready."""
        poll = select.poll()
        poll.register(self._steps.fileno(), select.POLLIN)
        if poll.poll(0):
            self.poke()

    def _step(self) -> None:
        self._queued = False
        if self.stepping is not None or self.is_closed():
            return
        fiber = self.stepping = Fiber(self._run_step, f"{self._actor.meta.class_name} (event loop)")
        fiber.env = dict(self._actor.env)
        self._engine.fibers.add(fiber)
        fiber.go_on()

    def _run_step(self) -> None:
        fiber = self.stepping
        assert fiber is not None
        try:
            self.run_forever()
        finally:
            self._engine.fibers.discard(fiber)
            self.stepping = None
        wanted = self._steps.wanted
        if wanted == 0:
            self.poke()
        elif wanted is not None and not self._ended:
            self._engine.scheduler.at(time.monotonic() + wanted, self.poke)

    # -- calls -------------------------------------------------------------------------------------------------------------

    def start_call(self, call: Call, ended: Callable[[], None]) -> None:
        """Run a call as a coroutine."""
        call.started = True
        call.began = time.time()
        life = call.life
        call.task = self.create_task(self._run(call))
        call.task.add_done_callback(lambda _task: self._over(call, life, ended))

    def _over(self, call: Call, life: int, ended: Callable[[], None]) -> None:
        if not call.done and call.life == life:
            # A coroutine that is cancelled before its first step never runs, not even its `finally`.
            with self._engine.scheduler.lock:
                call.fail(self._engine.values.error(exceptions.TaskCancelledError(call.task_id())))
        ended()

    async def _run(self, call: Call) -> None:
        current.set(call)
        engine = self._engine
        life = call.life
        function = engine.actors.method(self._actor, call)
        try:
            args, kwargs = call.arguments.unpack(engine.values)
            value = function(*args, **kwargs)
            del args, kwargs
            if inspect.isawaitable(value):
                value = await value
            if call.num_returns == "streaming":
                await self._stream(call, value)
                value = ()
            elif hasattr(value, "__aiter__"):
                value = await self._collect(call, value)
            if call.life == life:
                engine.executor.deliver(call, value)
        except asyncio.CancelledError as error:
            if call.life == life:
                failed = exceptions.TaskCancelledError(call.task_id()) if call.cancelled else error
                with engine.scheduler.lock:
                    call.fail(
                        engine.values.error(failed)
                        if call.cancelled
                        else engine.executor.user_error(call, error)
                    )
        except GeneratorExit:
            raise
        except BaseException as error:
            if call.life == life:
                engine.executor.failed(call, error)

    async def _collect(self, call: Call, items: AsyncIterable[Any]) -> list[Any]:
        if call.num_returns == "dynamic":
            return [item async for item in items]
        found: list[Any] = []
        async for item in items:
            found.append(item)
            if len(found) == len(call.refs):
                break
        return found[0] if call.num_returns == 1 and found else found

    async def _stream(self, call: Call, items: Any) -> None:
        index = 0
        async for item in items if hasattr(items, "__aiter__") else _each(items):
            outcome = self._engine.values.outcome(item, call.function_name)
            with self._engine.scheduler.lock:
                call.item(index, outcome)
            index += 1
            while not call.has_room():
                future = self.create_future()
                call.room = Latch(1, lambda: "its reader to take an item")
                call.room.on_zero = functools.partial(self._wake_writer, future)
                await future
            if call.dropped:
                close = getattr(items, "aclose", None)
                if close is not None:
                    await close()
                return
            await asyncio.sleep(0)

    def _wake_writer(self, future: asyncio.Future[None], _latch: Latch) -> None:
        self.call_soon_threadsafe(_wake, future)

    # -- the end -----------------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Cancel what runs, and close once it has ended."""
        self._ended = True
        self._engine.scheduler.push(self.end_step)

    def end_step(self, steps: int = _CLOSING_STEPS) -> None:
        """One step towards the end."""
        if self.is_closed():
            return
        if self.stepping is not None:
            self._engine.scheduler.doom(self.stepping)
        elif steps > 0 and (left := [task for task in asyncio.all_tasks(self) if not task.done()]):
            if steps == _CLOSING_STEPS:
                for task in left:
                    task.cancel()
            self._queued = True
            self._step()
        else:
            self.close()
            self._engine.loops.pop(self, None)
            return
        self._engine.scheduler.push(lambda: self.end_step(steps - 1))

    def end_now(self) -> None:
        """Cancel what runs, run it to its end, and close."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        for _ in range(_CLOSING_STEPS):
            if self.stepping is not None or all(task.done() for task in asyncio.all_tasks(self)):
                break
            self._step()
        if self.stepping is None:
            self.close()
            self._engine.loops.pop(self, None)


async def _each(items: Iterable[Any]) -> Any:
    for item in items:
        yield item


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class ForeignLoops:
    """Event loops that are not ours, such as the driver's `asyncio.run`: while they wait for refs, they run work."""

    def __init__(self, engine: InlineEngine) -> None:
        self._engine = engine
        self._waits: dict[asyncio.AbstractEventLoop, int] = {}
        self._queued: set[asyncio.AbstractEventLoop] = set()

    def wait_begins(self, loop: asyncio.AbstractEventLoop) -> None:
        """Something in that loop waits."""
        with self._engine.scheduler.lock:
            self._waits[loop] = self._waits.get(loop, 0) + 1
        self.wake()

    def wait_ends(self, loop: asyncio.AbstractEventLoop) -> None:
        """It waits no longer."""
        with self._engine.scheduler.lock:
            left = self._waits.get(loop, 0) - 1
            if left > 0:
                self._waits[loop] = left
            else:
                self._waits.pop(loop, None)

    def wake(self) -> None:
        """There may be work."""
        for loop in list(self._waits):
            if loop.is_closed():
                self._waits.pop(loop, None)
                self._queued.discard(loop)
            elif loop not in self._queued:
                self._queued.add(loop)
                loop.call_soon_threadsafe(self._pump, loop)

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        self._queued.discard(loop)
        if loop not in self._waits or self._engine.ended:
            return
        if self._engine.scheduler.run_one():
            if loop in self._waits and loop not in self._queued:
                self._queued.add(loop)
                loop.call_soon(self._pump, loop)
            return
        watching = self._engine.look_at_sockets()
        timer = self._engine.scheduler.next_timer()
        delay = 0.005 if watching else None
        if timer is not None:
            due = max(0.0, timer - time.monotonic())
            delay = due if delay is None else min(due, delay)
        if delay is not None:
            loop.call_later(delay, self._pump, loop)


def wrap(engine: InlineEngine, ref: Any, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
    """A future of `loop` that ends as `ref` does."""
    future: asyncio.Future[Any] = loop.create_future()
    thread = threading.get_ident()
    foreign = not isinstance(loop, ActorLoop)

    def settle(outcome: Any, failed: bool) -> None:
        if future.done():
            return
        if not failed:
            future.set_result(outcome)
        elif isinstance(outcome, StopIteration):
            future.set_exception(RuntimeError(f"StopIteration: {outcome}"))
        else:
            future.set_exception(outcome)

    def finish(done: Any) -> None:
        try:
            outcome, failed = engine.values.value(done), False
        except BaseException as error:
            outcome, failed = error, True
        if not foreign or threading.get_ident() == thread:
            settle(outcome, failed)
        elif not loop.is_closed():
            loop.call_soon_threadsafe(settle, outcome, failed)

    if foreign:
        engine.foreign.wait_begins(loop)
        future.add_done_callback(lambda _future: engine.foreign.wait_ends(loop))
    engine.waits.when_done(ref, finish)
    return future
