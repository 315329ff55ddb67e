"""Cancelling calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core.ref import INDEX_BITS, REMOTE, ObjectRef
from skate.engine.local import protocol
from skate.engine.local.client.calls import Call, dump_error

if TYPE_CHECKING:
    from skate.engine.local.client.engine import LocalEngine


class Cancels:
    """Stops calls, wherever they are."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine

    def cancel(self, ref: ObjectRef[Any], force: bool, recursive: bool) -> None:
        call: Call | None = ref._call
        if call is None and ref._kind == REMOTE:
            # Somebody else made the call: the node passes the word on to that process.
            self.engine.tell(protocol.CANCEL_ELSEWHERE, ref._key, force, recursive)
            return
        if call is None or call.key not in self.engine.pending:
            return
        if call.actor is not None and force:
            raise ValueError(
                "force=True is not supported for actor tasks: use skate.kill(actor) to end the actor itself."
            )
        with self.engine.loop.mutex:
            self._cancel(call, force, recursive)
        self.engine.loop.nudge()

    def asked(self, key: int, force: bool, recursive: bool) -> None:
        """Another process cancels a call of ours, which may have ended (with the mutex held)."""
        call = self.engine.pending.get(key >> INDEX_BITS << INDEX_BITS)
        if call is not None and not (force and call.actor is not None):
            self._cancel(call, force, recursive)

    def _cancel(self, call: Call, force: bool, recursive: bool) -> None:
        call.cancelled = True
        error = dump_error(exceptions.TaskCancelledError(ObjectRef(call.key).task_id()))
        if call.actor is not None:
            link = call.actor._engine_state
            if call in link.queue:
                link.queue.remove(call)
                self.engine.results.fail(call, error)
                self.engine.actor_calls.pump(link)  # those behind it wait no more
                return
            if call.waiting_for:
                # Of an actor without an order: the call queues up only once its arguments are there.
                self.engine.results.fail(call, error)
                return
        elif call.link is None:
            if call in call.lane.backlog:
                call.lane.backlog.remove(call)
            self.engine.results.fail(call, error)
            return
        self.engine.streams.to_worker(call, (protocol.CANCEL, call.key, False, recursive))
        if force and call.link is not None:
            # Not by the worker itself: the task may hold its interpreter.
            self.engine.lanes.doom(call.link)
            self.engine.node.send((protocol.KILL_WORKER, call.link.worker))
            self.engine.loop.flush(self.engine.node)

    def cancel_children(self, parent: int, force: bool) -> None:
        """Cancel what a task has called (with the mutex held)."""
        for call in list(self.engine.pending.values()):
            if call.parent == parent:
                self._cancel(call, force and call.actor is None, True)
