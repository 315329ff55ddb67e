"""Waiting for refs and for generators' items."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core.ref import ERROR, PENDING, ObjectRef, Stream
from skate.engine.inline.calls import Call, add_waiter, drop_waiter
from skate.engine.inline.fiber import Latch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from skate.engine.inline.engine import InlineEngine


class Waits:
    """The engine's methods that wait, and those that call back."""

    def __init__(self, engine: InlineEngine) -> None:
        self._engine = engine

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        """As `Engine.get`."""
        if timeout is not None and timeout < 0:
            timeout = None
        pending = [ref for ref in dict.fromkeys(refs) if ref._kind == PENDING]
        if not pending:
            self._engine.scheduler.make_progress()
        elif not any(ref._kind == ERROR for ref in refs):
            self._wait_for_all(pending, timeout, len(refs))
        for ref in refs:
            if ref._kind == ERROR:
                raise self._engine.values.exception(ref._value)
        return [self._engine.values.value(ref) for ref in refs]

    def _wait_for_all(self, pending: list[ObjectRef[Any]], timeout: float | None, total: int) -> None:
        latch = Latch(len(pending), lambda: _names([ref for ref in pending if ref._kind == PENDING]))

        def arrived(ref: ObjectRef[Any]) -> None:
            if ref._kind == ERROR:
                latch.open()
            else:
                latch()

        with self._engine.scheduler.lock:
            for ref in pending:
                add_waiter(ref, arrived)
        try:
            if timeout is None:
                self._check_feasible(pending)
            done = self._engine.scheduler.wait(latch, timeout, self._engine.on_park)
        finally:
            with self._engine.scheduler.lock:
                for ref in pending:
                    drop_waiter(ref, arrived)
        if not done:
            left = [ref for ref in pending if ref._kind == PENDING]
            stuck = self._engine.admission.stuck()
            raise exceptions.GetTimeoutError(
                f"Get timed out: some object(s) not ready. {len(left)} of {total} are missing after {timeout} s; the first is {left[0]!r}."
                f"{' Of the tasks, ' + stuck + '.' if stuck else ''} Wait longer, or look at skate.wait()."
            )

    def _check_feasible(self, refs: list[ObjectRef[Any]]) -> None:
        for ref in refs:
            call: Call | None = ref._call
            if call is None:
                continue
            if call.infeasible:
                raise exceptions.TaskUnschedulableError(
                    f"Task {call.name} can never run: it asks for {call.infeasible}. Ask for less, or give init() more."
                )
            if call.actor is not None and call.actor.infeasible:
                raise exceptions.ActorUnschedulableError(
                    f"Actor {call.actor.meta.class_name} can never start: it asks for {call.actor.infeasible}. Ask for less, or "
                    "give init() more."
                )

    def wait(
        self, refs: Sequence[Any], num_returns: int, timeout: float | None
    ) -> tuple[list[Any], list[Any]]:
        """As `Engine.wait`."""
        self._engine.check_running()
        missing = num_returns - sum(map(_is_ready, refs))
        if missing <= 0:
            self._engine.scheduler.make_progress()
        else:
            waiting = [thing for thing in refs if not _is_ready(thing)]
            latch = Latch(missing, lambda: f"{missing} of {_names(waiting)}")
            with self._engine.scheduler.lock:
                for thing in waiting:
                    if isinstance(thing, ObjectRef):
                        add_waiter(thing, latch)
                    else:
                        thing._stream.waiters.append(latch)
            try:
                self._engine.scheduler.wait(latch, timeout, self._engine.on_park)
            finally:
                with self._engine.scheduler.lock:
                    for thing in waiting:
                        if isinstance(thing, ObjectRef):
                            drop_waiter(thing, latch)
                        elif latch in thing._stream.waiters:
                            thing._stream.waiters.remove(latch)
        found: list[Any] = []
        rest: list[Any] = []
        for thing in refs:
            (found if len(found) < num_returns and _is_ready(thing) else rest).append(thing)
        return found, rest

    def when_done(self, ref: ObjectRef[Any], callback: Callable[[ObjectRef[Any]], None]) -> None:
        """Have `callback(ref)` called by the scheduler, or at once if the ref has a value."""
        with self._engine.scheduler.lock:
            pending = ref._kind == PENDING
            if pending:
                add_waiter(ref, lambda done: self._engine.scheduler.push(lambda: _call_back(callback, done)))
        if not pending:
            callback(ref)

    def on_done(self, ref: ObjectRef[Any], callback: Callable[[ObjectRef[Any]], None]) -> None:
        """As `Engine.on_done`."""
        called: list[ObjectRef[Any]] = []

        def call(done: ObjectRef[Any]) -> None:
            called.append(done)
            callback(done)

        self.when_done(ref, call)
        loop = _running_loop()
        if called or loop is None:
            # The caller may go on to wait in a way that we don't see, such as `Future.result()`: what can run runs now.
            self._engine.scheduler.run_until(lambda: bool(called))
        elif self._engine.is_foreign(loop):
            self._engine.foreign.wait_begins(loop)
            self.when_done(ref, lambda _ref: self._engine.foreign.wait_ends(loop))

    # -- generators --------------------------------------------------------------------------------------------------------

    def wait_stream(self, stream: Stream, timeout: float | None) -> bool:
        """As `Engine.wait_stream`."""
        if stream.items or stream.done:
            self._engine.scheduler.make_progress()
            return True
        latch = Latch(1, lambda: f"an item of {stream.ref!r}")
        with self._engine.scheduler.lock:
            stream.waiters.append(latch)
        try:
            if timeout is None:
                self._check_feasible([stream.ref])
            self._engine.scheduler.wait(latch, timeout, self._engine.on_park)
        finally:
            with self._engine.scheduler.lock:
                if latch in stream.waiters:
                    stream.waiters.remove(latch)
        return bool(stream.items or stream.done)

    def take_item(self, stream: Stream) -> ObjectRef[Any] | None:
        """As `Engine.take_item`."""
        with self._engine.scheduler.lock:
            if not stream.items:
                return None
            stream.consumed += 1
            if stream.call is not None:
                stream.call.room_changed()
            return stream.items.popleft()

    def on_stream(self, stream: Stream, callback: Callable[[Stream], None]) -> None:
        """As `Engine.on_stream`."""
        loop = _running_loop()
        foreign = loop is not None and self._engine.is_foreign(loop)

        def tell(_stream: Stream) -> None:
            if foreign:
                self._engine.foreign.wait_ends(loop)
            callback(stream)

        with self._engine.scheduler.lock:
            ready = bool(stream.items or stream.done)
            if not ready:
                stream.waiters.append(lambda s: self._engine.scheduler.push(lambda: tell(s)))
        if ready:
            callback(stream)
        elif foreign:
            self._engine.foreign.wait_begins(loop)
        elif loop is None:
            self._engine.scheduler.run_until(lambda: bool(stream.items or stream.done))

    def drop_stream(self, stream: Stream) -> None:
        """As `Engine.drop_stream`."""
        call: Call | None = stream.call
        if call is not None:
            self._engine.scheduler.deferred.append(lambda: self._dropped(call))

    def _dropped(self, call: Call) -> None:
        with self._engine.scheduler.lock:
            call.dropped = True
            call.room_changed()


def _call_back(callback: Callable[[ObjectRef[Any]], None], ref: ObjectRef[Any]) -> None:
    try:
        callback(ref)
    except Exception:
        # Whoever happens to wait now has nothing to do with it.
        logging.getLogger("skate").exception("a callback for %r raised", ref)


def _is_ready(thing: Any) -> bool:
    if isinstance(thing, ObjectRef):
        return thing._kind != PENDING
    stream = thing._stream
    return bool(stream.items or stream.done)


def _names(things: Sequence[Any]) -> str:
    shown = []
    for thing in things[:3]:
        ref = thing if isinstance(thing, ObjectRef) else thing._stream.ref
        call: Call | None = ref._call
        shown.append(repr(ref) if call is None else f"{call.name}() ({ref!r})")
    more = f" and {len(things) - 3} more" if len(things) > 3 else ""
    return ", ".join(shown) + more


def _running_loop() -> Any:
    events: Any = sys.modules.get("asyncio.events")
    return None if events is None else events._get_running_loop()
