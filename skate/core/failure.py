"""What user code raised, made ready to be sent: its cause, its traceback as text, and a pickle that the caller can read."""

from __future__ import annotations

import os
import traceback
from typing import Any

from skate import exceptions
from skate.core import serialize
from skate.core.actor import ActorExit

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_INNER = tuple(os.path.join(_PACKAGE, part) for part in ("core" + os.sep, "engine" + os.sep, "_api.py"))
_PICKLER = os.sep + "cloudpickle" + os.sep


class FailedArgumentError(Exception):
    """A call can't run, as a ref among its arguments has an error; `pack_task_error` makes of it the call's own error.

    Args:
        error: The ref's error.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error

    @classmethod
    def of(cls, payload: Any) -> FailedArgumentError:
        """The same for the pickle of the ref's error."""
        try:
            error = serialize.unpack(payload)
        except Exception as failure:  # noqa: BLE001 -- users' exceptions may fail in any way
            error = exceptions.RaySystemError(
                f"the error of an argument can't be unpickled here: {type(failure).__name__}: {failure}. Is the module that "
                "defines it importable in this process?"
            )
        return cls(error)

    def text(self) -> str:
        """What a dependent's traceback is, down to that of the task that failed first."""
        shown = getattr(self.error, "_task_error", self.error)
        text = shown.traceback_str if isinstance(shown, exceptions.RayTaskError) else ""
        if text.count(_DEPENDENT) >= _LONGEST_TRAIL:
            return text
        name = f"{exceptions.RayTaskError.__module__}.RayTaskError" if text else _name(shown)
        return f"Traceback (most recent call last):\n{_DEPENDENT}{name}: {self.error}\n"


_DEPENDENT = "  At least one of the input arguments for this task could not be computed:\n"
_LONGEST_TRAIL = (
    10  # dependents that are named: with all of them, the errors of a chain would grow with its length
)


def _name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")


def pack_task_error(
    error: BaseException,
    name: str,
    *,
    task_id: object = None,
    instance: Any = None,
    actor_id: str | None = None,
) -> serialize.Packed:
    """The pickle of a `RayTaskError` around what user code raised; where that can't be pickled, around an error that says so.

    Args:
        error: What was raised.
        name: What ran, such as "f" or "Actor.method".
        task_id: The call.
        instance: The actor's instance, if the call was a method's.
        actor_id: The actor, in hex.
    """
    failed = error if isinstance(error, FailedArgumentError) else None
    if failed is not None:
        error = failed.error
    cause: BaseException = error
    if isinstance(error, exceptions.RayTaskError):
        cause = error.cause if isinstance(error.cause, BaseException) else error
    elif isinstance(error, KeyboardInterrupt):
        # Raised again in the caller it would end the whole program, as nobody there has pressed Ctrl-C.
        cause = exceptions.TaskCancelledError(task_id, f"It raised {error!r} itself.")
    if failed is not None:
        text = failed.text()
    else:
        text = traceback_text(error, error if isinstance(error, exceptions.RayTaskError) else cause)
    shown = None if instance is None else _repr(instance)
    wrapped = exceptions.RayTaskError(name, text, cause, actor_repr=shown, actor_id=actor_id)
    try:
        packed = serialize.pack(wrapped)
        serialize.unpack(packed.inline())
    except Exception as failure:  # noqa: BLE001 -- users' exceptions may fail in any way
        substitute = exceptions.RaySystemError(
            f"the task raised {type(error).__name__}: {error}, which can't be pickled: {type(failure).__name__}: {failure}."
        )
        packed = serialize.pack(exceptions.RayTaskError(name, text, substitute, actor_id=actor_id))
    return packed


def creation_error(
    failure: BaseException, task_error: exceptions.RayTaskError, class_name: str, actor_id: str
) -> exceptions.ActorDiedError:
    """What calls of an actor raise whose constructor has raised `failure`, or has called `exit_actor()`."""
    if not isinstance(failure, ActorExit):
        return exceptions.ActorDiedError(task_error)
    return exceptions.ActorDiedError(
        exceptions.ActorDiedErrorContext(
            error_message=f"The actor is dead because {ActorExit.cause}",
            actor_id=actor_id,
            class_name=class_name,
            pid=os.getpid(),
            node_ip_address="127.0.0.1",
        )
    )


def traceback_text(error: BaseException, shown: BaseException) -> str:
    """The traceback of `error`, ending in what `shown` says, without the frames of the engine, which say nothing to the user."""
    summary = traceback.TracebackException(type(shown), shown, error.__traceback__)
    _leave_out_engine(summary)
    lines = list(summary.format())
    if not summary.stack:
        last = len(lines) - len(list(summary.format_exception_only()))
        lines.insert(last, "Traceback (most recent call last):\n")
    return "".join(lines)


def _leave_out_engine(summary: traceback.TracebackException) -> None:
    frames = summary.stack
    while frames and frames[0].filename.startswith(_INNER):
        del frames[0]
    while frames and (frames[-1].filename.startswith(_INNER) or _PICKLER in frames[-1].filename):
        del frames[-1]
    for other in (summary.__cause__, summary.__context__):
        if other is not None:
            _leave_out_engine(other)


def own_repr(instance: Any) -> str | None:
    """What an instance's class has it show of itself, on one line; None if its class says nothing about that, or if it fails."""
    plain: Any = object.__repr__
    return None if type(instance).__repr__ is plain else _repr(instance)


def _repr(instance: Any) -> str | None:
    try:
        return " ".join(repr(instance).split("\n"))[:200]
    except Exception:  # noqa: BLE001 -- users' code, which is only asked for a name
        return None


def story(error: BaseException) -> tuple[str, str]:
    """What the state API tells of an error: its type, in the API's words, and what it says, cut to its last 2,000 characters."""
    kind = _KINDS.get(type(error).__name__, "TASK_EXECUTION_EXCEPTION")
    return kind, str(error)[-_TEXT:]


_TEXT = 2000
_KINDS = {
    "WorkerCrashedError": "WORKER_DIED",
    "TaskCancelledError": "TASK_CANCELLED",
    "ActorDiedError": "ACTOR_DIED",
    "ActorUnavailableError": "ACTOR_UNAVAILABLE",
    "TaskUnschedulableError": "TASK_UNSCHEDULABLE_ERROR",
    "ActorUnschedulableError": "ACTOR_UNSCHEDULABLE_ERROR",
    "OutOfMemoryError": "OUT_OF_MEMORY",
    "OwnerDiedError": "OWNER_DIED",
    "ObjectLostError": "OBJECT_LOST",
    "RuntimeEnvSetupError": "RUNTIME_ENV_SETUP_FAILED",
}
"""Ray's names of what can go wrong, by our exceptions."""
