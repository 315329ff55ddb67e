"""Cancelling calls that wait, and interrupting those that run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skate import exceptions
from skate.engine.inline.calls import current

if TYPE_CHECKING:
    from skate.engine.inline.calls import Call
    from skate.engine.inline.engine import InlineEngine


def cancel_call(engine: InlineEngine, call: Call, force: bool, recursive: bool) -> None:
    """Stop a call: at once if it has not started, else by KeyboardInterrupt (or CancelledError in a coroutine)."""
    call.cancelled = True
    if recursive:
        for child in list(engine.calls.values()):
            if child.parent == call.key and not child.done:
                cancel_call(engine, child, force and child.actor is None, True)
    if not call.started or force:
        with engine.scheduler.lock:
            call.fail(engine.values.error(exceptions.TaskCancelledError(call.task_id())))
            if call.actor is not None:
                engine.actors.schedule(call.actor)
    if not call.started:
        return
    if call.task is not None:
        call.task.get_loop().call_soon(call.task.cancel)
    elif call.actor is None and call.fiber is not None:
        if force:
            engine.scheduler.doom(call.fiber)
        elif call is not current.get():
            engine.scheduler.throw(call.fiber, KeyboardInterrupt())
        else:
            raise KeyboardInterrupt
