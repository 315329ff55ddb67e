"""Waiting: get, wait, callbacks and futures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core.ref import ERROR, PENDING, REMOTE, ObjectRef
from skate.engine.local import protocol
from skate.engine.local.client.loop import FirstError, Latch
from skate.engine.local.client.running import current_task

if TYPE_CHECKING:
    import asyncio

    from skate.engine.local.client.engine import LocalEngine


class Waits:
    """Everybody in this process who waits for a value."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine

    def until(self, latch: Latch, timeout: float | None, refs: Sequence[Any] = (), needed: int = 0) -> bool:
        if latch.left <= 0:
            return True
        if self.engine.before_block is None or not self.engine.before_block():
            return self.engine.long_waits.wait(latch, timeout, refs, needed)
        try:
            return self._wait_lending(latch, timeout, refs, needed)
        finally:
            self.engine.after_block()

    def _wait_lending(self, latch: Latch, timeout: float | None, refs: Sequence[Any], needed: int) -> bool:
        # Most waits are short: the CPU is offered to others only when this one is not, or when we wait for a lease ourselves.
        patience = 0.002
        if any(lane.backlog and not lane.links for lane in list(self.engine.lanes.open.values())):
            patience = 0.0
        started = self.engine.now()
        if timeout is not None and timeout <= patience:
            return self.engine.loop.wait(latch, timeout)
        if patience and self.engine.loop.wait(latch, patience):
            return True
        self.engine.tell(protocol.BLOCKED)
        running = current_task.get()
        running.waits += 1
        try:
            left = None if timeout is None else max(0.0, timeout - (self.engine.now() - started))
            return self.engine.long_waits.wait(latch, left, refs, needed)
        finally:
            running.waits -= 1
            self.engine.tell(protocol.UNBLOCKED)

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        for ref in refs:
            if ref._kind == PENDING or ref._kind == REMOTE:
                latch = FirstError(0)
                with self.engine.loop.mutex:
                    if len(refs) == 1 or not any(other._kind == ERROR for other in refs):
                        self.engine.objects.await_values(refs, latch)
                    self.engine.flush_all()
                if not self.until(latch, timeout, refs, len(refs)) and latch.left > 0:
                    self._timed_out(refs, latch, timeout)
                for other in refs:
                    if other._kind == ERROR:
                        self._stop_waiting(refs, latch)
                        raise self.engine.objects.error(other)
                break
        value = self.engine.objects.value
        return [value(ref) for ref in refs]

    def _timed_out(self, refs: Sequence[ObjectRef[Any]], latch: Latch, timeout: float | None) -> None:
        waiting = self._stop_waiting(refs, latch)
        if self.engine.ended:
            raise exceptions.RaySystemError(f"the session has ended: {self.engine.ended}")
        if waiting:
            raise exceptions.GetTimeoutError(
                f"Get timed out: some object(s) not ready. {len(waiting)} of {len(refs)} are missing after {timeout} s; the first is "
                f"{waiting[0]!r}. Wait longer, or look at skate.wait()."
            )

    def _stop_waiting(self, refs: Sequence[ObjectRef[Any]], latch: Latch) -> list[ObjectRef[Any]]:
        waiting = []
        with self.engine.loop.mutex:
            for ref in refs:
                if ref._waiters and latch in ref._waiters:
                    ref._waiters.remove(latch)
                    waiting.append(ref)
        return waiting

    def wait(
        self, refs: Sequence[Any], num_returns: int, timeout: float | None
    ) -> tuple[list[Any], list[Any]]:
        if num_returns == 1 and type(refs[0]) is ObjectRef and refs[0]._kind not in (PENDING, REMOTE):
            # The commonest use, a loop that takes one at a time, must not look at all of them each time.
            return [refs[0]], list(refs[1:])

        def ready(thing: Any) -> bool:
            if type(thing) is ObjectRef:
                return thing._kind not in (PENDING, REMOTE)
            stream = thing._stream
            return bool(stream.items or stream.done)

        latch = Latch(0)
        waiting: list[Any] = []
        with self.engine.loop.mutex:
            done = sum(1 for thing in refs if ready(thing))
            if done < num_returns:
                for thing in refs:
                    if type(thing) is not ObjectRef:
                        if not ready(thing):
                            thing._stream.waiters.append(latch)
                            waiting.append(thing)
                    elif not ready(thing):
                        waiting.append(thing)
                        if thing._waiters is None:
                            thing._waiters = [latch]
                        else:
                            thing._waiters.append(latch)
                        if thing._kind == REMOTE:
                            self.engine.objects.want(thing)
                latch.left = num_returns - done
            self.engine.flush_all()
        if latch.left > 0:
            try:
                self.until(latch, timeout, waiting, latch.left)
            finally:
                with self.engine.loop.mutex:
                    for thing in waiting:
                        waiters = thing._waiters if type(thing) is ObjectRef else thing._stream.waiters
                        if waiters and latch in waiters:
                            waiters.remove(latch)
        found: list[Any] = []
        rest: list[Any] = []
        for thing in refs:
            (found if len(found) < num_returns and ready(thing) else rest).append(thing)
        return found, rest

    def on_done(self, ref: ObjectRef[Any], callback: Callable[[ObjectRef[Any]], None]) -> None:
        with self.engine.loop.mutex:
            done = ref._kind not in (PENDING, REMOTE)
            if not done:
                waiters = ref._waiters
                if waiters is None:
                    waiters = ref._waiters = []
                waiters.append(lambda r: self.engine.loop.deferred.append((callback, r)))
                if ref._kind == REMOTE:
                    self.engine.objects.want(ref)
                self.engine.flush_all()
        if done:
            callback(ref)
        self.engine.loop.nudge()

    def wrap_asyncio(self, ref: ObjectRef[Any], loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        future = loop.create_future()
        thread = threading.get_ident()
        self.attach(loop)

        def settle(outcome: Any, failed: bool) -> None:
            if future.done():
                return
            if failed:
                future.set_exception(_for_future(outcome))
            else:
                future.set_result(outcome)

        def finish(done: ObjectRef[Any]) -> None:
            try:
                outcome, failed = self.engine.objects.value(done), False
            except BaseException as error:
                outcome, failed = error, True
            if threading.get_ident() == thread:
                settle(outcome, failed)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(settle, outcome, failed)

        self.on_done(ref, finish)
        return future

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have an asyncio loop read the sockets while it runs."""
        if getattr(loop, "_skate_attached", None) is not self:
            try:
                loop.add_reader(self.engine.loop.poller.fileno(), self.engine.loop.try_step)
            except (NotImplementedError, AttributeError):
                return  # a loop that can't watch descriptors: the background thread serves it
            loop._skate_attached = self  # type: ignore[attr-defined]


def _for_future(error: BaseException) -> BaseException:
    if isinstance(error, StopIteration):
        return RuntimeError(f"StopIteration: {error}")
    return error
