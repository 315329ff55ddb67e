"""Every error that Skate raises, under the names of `ray.exceptions`.

All of them derive from `RayError`. What user code raises in a task or actor comes back as a `RayTaskError`
that is also an instance of the user's own type: both `except ValueError` and `except RayTaskError` catch it.
Every class keeps its fields and its message through pickling. Importing this module is cheap.
"""

from __future__ import annotations

from skate._task_error import RayError, RayTaskError

__all__ = [
    "ActorAlreadyExistsError",
    "ActorDiedError",
    "ActorDiedErrorContext",
    "ActorHandleNotFoundError",
    "ActorPlacementGroupRemoved",
    "ActorUnavailableError",
    "ActorUnschedulableError",
    "AsyncioActorExit",
    "AuthenticationError",
    "CrossLanguageError",
    "GetTimeoutError",
    "LocalRayletDiedError",
    "NodeDiedError",
    "ObjectFetchTimedOutError",
    "ObjectFreedError",
    "ObjectLostError",
    "ObjectReconstructionFailedError",
    "ObjectRefStreamEndOfStreamError",
    "ObjectStoreFullError",
    "OufOfBandObjectRefSerializationException",
    "OutOfDiskError",
    "OutOfMemoryError",
    "OwnerDiedError",
    "PendingCallsLimitExceeded",
    "PlasmaObjectNotAvailable",
    "RayActorError",
    "RayCgraphCapacityExceeded",
    "RayChannelError",
    "RayChannelTimeoutError",
    "RayDirectTransportError",
    "RayError",
    "DeadlockError",
    "RaySystemError",
    "RayTaskError",
    "ReferenceCountingAssertionError",
    "RpcError",
    "RuntimeEnvSetupError",
    "StreamingGeneratorReplayInconsistentError",
    "TaskCancelledError",
    "TaskPlacementGroupRemoved",
    "TaskUnschedulableError",
    "UnserializableException",
    "UserCodeException",
    "WorkerCrashedError",
]


class CrossLanguageError(RayError):
    """An error raised by a function written in another language.

    Args:
        ray_exception: The text of the error, or an object with it in `formatted_exception_string`.
    """

    def __init__(self, ray_exception: object) -> None:
        text = getattr(ray_exception, "formatted_exception_string", ray_exception)
        super().__init__(f"A function of another language raised an error:\n{text}")


class TaskCancelledError(RayError):
    """The task was cancelled, or one that it depends on was.

    Args:
        task_id: The cancelled task, where known.
        error_message: Why, in words.

    Attributes:
        task_id: As given.
        error_message: As given.
    """

    def __init__(self, task_id: object = None, error_message: str | None = None) -> None:
        super().__init__(task_id, error_message)
        self.task_id = task_id
        self.error_message = error_message

    def __str__(self) -> str:
        what = "The task was cancelled." if self.task_id is None else f"Task: {self.task_id} was cancelled."
        return what if not self.error_message else f"{what} {self.error_message}"


class GetTimeoutError(RayError, TimeoutError):
    """`get` ran out of time before its objects were ready. Also a `TimeoutError`."""


class ActorDiedErrorContext:
    """What is known about a dead actor: the argument with which engines build an `ActorDiedError`.

    Args:
        error_message: Why it died, in words.
        actor_id: Its id, in hex.
        class_name: Its class.
        name: The name it was registered under; "" for none.
        ray_namespace: The namespace of that name.
        pid: The process it ran in; 0 when it never ran.
        node_ip_address: Where it ran.
        never_started: The constructor never ran to its end.
        preempted: Its host was taken away.
    """

    __slots__ = (
        "actor_id",
        "class_name",
        "error_message",
        "name",
        "never_started",
        "node_ip_address",
        "pid",
        "preempted",
        "ray_namespace",
    )

    def __init__(
        self,
        error_message: str = "",
        actor_id: str | bytes = "",
        class_name: str = "",
        name: str = "",
        ray_namespace: str = "",
        pid: int = 0,
        node_ip_address: str = "",
        never_started: bool = False,
        preempted: bool = False,
    ) -> None:
        self.error_message = error_message
        self.actor_id = _hex(actor_id) or ""
        self.class_name = class_name
        self.name = name
        self.ray_namespace = ray_namespace
        self.pid = pid
        self.node_ip_address = node_ip_address
        self.never_started = never_started
        self.preempted = preempted

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ActorDiedErrorContext):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __hash__(self) -> int:
        return hash((self.actor_id, self.error_message))

    def __repr__(self) -> str:
        return f"ActorDiedErrorContext({', '.join(f'{n}={getattr(self, n)!r}' for n in self.__slots__)})"


class RayActorError(RayError):
    """An actor could not finish a call: it died, or cannot be reached now.

    Args:
        actor_id: The actor, in hex.
        error_msg: What happened, in words.
        actor_init_failed: Its constructor raised.
        preempted: Its host was taken away.

    Attributes:
        actor_id: As given.
        error_msg: As given; also what `str()` shows.
    """

    BASE_ERROR_MSG = "The actor experienced an error before finishing this task."

    def __init__(
        self,
        actor_id: str | None = None,
        error_msg: str = BASE_ERROR_MSG,
        actor_init_failed: bool = False,
        preempted: bool = False,
    ) -> None:
        super().__init__(actor_id, error_msg, actor_init_failed, preempted)
        self.actor_id = actor_id
        self.error_msg = error_msg
        self._actor_init_failed = actor_init_failed
        self._preempted = preempted

    def __str__(self) -> str:
        return self.error_msg

    @property
    def preempted(self) -> bool:
        """Whether the actor died because its host was taken away."""
        return self._preempted

    @property
    def actor_init_failed(self) -> bool:
        """Whether the actor's constructor raised."""
        return self._actor_init_failed


class ActorDiedError(RayActorError):
    """The actor is dead and will not come back.

    Args:
        cause: The error of its constructor, what is known about its death, or nothing.

    Attributes:
        cause: As given.
    """

    BASE_ERROR_MSG = "The actor died unexpectedly before finishing this task."

    def __init__(self, cause: RayTaskError | ActorDiedErrorContext | None = None) -> None:
        actor_id: str | None = None
        init_failed = preempted = False
        message = self.BASE_ERROR_MSG
        if isinstance(cause, RayTaskError):
            actor_id = cause._actor_id  # noqa: SLF001 -- the name is Ray's
            init_failed = True
            message = f"The actor died because of an error raised in its creation task, {cause}"
        elif cause is not None:
            actor_id = cause.actor_id or None
            preempted = cause.preempted
            message = _actor_death(cause)
        super().__init__(actor_id, message, init_failed, preempted)
        self.args = () if cause is None else (cause,)
        self.cause = cause

    @staticmethod
    def from_task_error(task_error: RayTaskError) -> ActorDiedError:
        """The error of an actor whose constructor raised `task_error`."""
        return ActorDiedError(task_error)


def _actor_death(context: ActorDiedErrorContext) -> str:
    head = ActorDiedError.BASE_ERROR_MSG
    if context.never_started:
        head = "The actor died before its constructor ended."
    fields: list[tuple[str, object]] = [
        ("class_name", context.class_name),
        ("actor_id", context.actor_id),
        ("pid", context.pid),
        ("name", context.name),
        ("namespace", context.ray_namespace),
        ("ip", context.node_ip_address),
        ("preempted", "yes" if context.preempted else ""),
    ]
    lines = [head, *(f"\t{label}: {value}" for label, value in fields if value)]
    if context.error_message:
        lines.append(context.error_message)
    return "\n".join(lines)


class ActorUnavailableError(RayActorError):
    """The actor does not answer now and may later; whether this call ran is not known.

    Args:
        error_message: Why, in words.
        actor_id: The actor, as bytes or hex.
    """

    def __init__(self, error_message: str, actor_id: bytes | str | None) -> None:
        hexed = _hex(actor_id)
        super().__init__(
            hexed,
            f"The actor {hexed} is unavailable: {error_message.removesuffix('.')}. The task may or may not have been executed on the "
            "actor; call again once it answers, if the call can safely run twice.",
        )
        self.args = (error_message, actor_id)


def _hex(value: str | bytes | None) -> str | None:
    return value.hex() if isinstance(value, bytes) else value


class _FixedError(RayError):
    """An error whose message says it all; anything given is appended as detail."""

    _text = ""

    def __str__(self) -> str:
        detail = super().__str__()
        return f"{detail}\n{self._text}" if detail else self._text


class WorkerCrashedError(_FixedError):
    """The worker process died while it ran the task, and no retry was left.

    Args:
        detail: How it died, where known: an exit code or a signal.
    """

    _text = (
        "The worker died unexpectedly while executing this task: killed, crashed in native code, or exited. "
        "Look at its last output, or give the task more retries with max_retries=."
    )


class LocalRayletDiedError(_FixedError):
    """The node process of the task's machine died."""

    _text = "The node process that served this task died. Call shutdown() and init() to start again."


class UserCodeException(RayError):
    """Code given by the user failed inside one of our own components."""


class AsyncioActorExit(RayError):
    """Raised inside an asyncio actor by `exit_actor()`; ends the actor without an error."""


class PlasmaObjectNotAvailable(RayError):
    """The object is not in this machine's store; raised only between our own parts."""


class ObjectRefStreamEndOfStreamError(RayError):
    """A generator task has no further object; raised only between our own parts."""


class OufOfBandObjectRefSerializationException(RayError):
    """A reference was pickled outside arguments, results and `put`, where that is forbidden."""


class ObjectStoreFullError(_FixedError):
    """The object store is full of objects still in use and none of them can be spilled."""

    _text = (
        "The object store is full of objects that are still referenced. "
        "Drop references you no longer need (del ref), or give init() a larger object_store_memory."
    )


class OutOfDiskError(_FixedError):
    """An object could not be spilled: the store is over its limit and the disk is full."""

    _text = (
        "The object store is full and the disk it spills to has no room left. Nothing stored was lost. "
        "Free disk space, or drop references you no longer need (del ref)."
    )


class PendingCallsLimitExceeded(RayError):
    """The actor already has `max_pending_calls` calls waiting; try again once some have ended."""


class TaskPlacementGroupRemoved(_FixedError):
    """The task's placement group was removed before the task ran."""

    _text = "The placement group corresponding to this task has been removed."


class ActorPlacementGroupRemoved(_FixedError):
    """The actor's placement group was removed."""

    _text = "The placement group corresponding to this Actor has been removed."


class _TextError(RayError):
    """An error with one text, kept in `message`."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message


class NodeDiedError(_TextError):
    """The machine that ran the task died or cannot be reached."""


class OutOfMemoryError(_TextError):
    """The machine ran short of memory and the task or actor was ended to protect the others."""


class AuthenticationError(_TextError):
    """The other side refused our credentials, or we refused its."""


class RpcError(RayError):
    """A message between two of our processes failed.

    Args:
        message: What failed.
        rpc_code: The transport's own error number.
    """

    def __init__(self, message: str, rpc_code: int | None = None) -> None:
        super().__init__(message, rpc_code)
        self.message = message
        self.rpc_code = rpc_code

    def __str__(self) -> str:
        return self.message


class _ReasonError(RayError):
    """An error with one text, kept in `error_message`."""

    _prefix = ""

    def __init__(self, error_message: str) -> None:
        super().__init__(error_message)
        self.error_message = error_message

    def __str__(self) -> str:
        return f"{self._prefix}{self.error_message}"


class TaskUnschedulableError(_ReasonError):
    """No machine can ever run the task."""

    _prefix = "The task is not schedulable: "


class ActorUnschedulableError(_ReasonError):
    """No machine can ever run the actor."""

    _prefix = "The actor is not schedulable: "


class ActorAlreadyExistsError(_ReasonError, ValueError):
    """An actor of this name is alive in this namespace. Also a `ValueError`."""


class ActorHandleNotFoundError(_ReasonError, ValueError):
    """The handle belongs to no actor of this session. Also a `ValueError`."""


class RuntimeEnvSetupError(RayError):
    """The `runtime_env` of a task or actor could not be set up.

    Args:
        error_message: Why, in words.
    """

    def __init__(self, error_message: str | None = None) -> None:
        super().__init__(error_message)
        self.error_message = error_message

    def __str__(self) -> str:
        text = "Failed to set up runtime environment."
        return f"{text}\n{self.error_message}" if self.error_message else text


class RaySystemError(RayError):
    """Skate itself failed.

    Args:
        client_exc: The error that was met.
        traceback_str: Where, as text.
    """

    def __init__(self, client_exc: object, traceback_str: str | None = None) -> None:
        super().__init__(client_exc, traceback_str)
        self.client_exc = client_exc
        self.traceback_str = traceback_str

    def __str__(self) -> str:
        text = f"System error: {self.client_exc}"
        return f"{text}\ntraceback: {self.traceback_str}" if self.traceback_str else text


class DeadlockError(RaySystemError, RuntimeError):
    """Tasks or actors wait for one another, so that none of them can ever go on; the message names them, and the lines they wait at.

    Raised in one of them. Ray has no such error: there, they wait.
    """

    def __str__(self) -> str:
        return str(self.client_exc)


class StreamingGeneratorReplayInconsistentError(RaySystemError):
    """A generator task, run again, yielded a different number of objects."""


class RayChannelError(RaySystemError):
    """A channel between two actors failed."""


class RayChannelTimeoutError(RayChannelError, TimeoutError):
    """A channel between two actors was not ready in time. Also a `TimeoutError`."""


class RayCgraphCapacityExceeded(RaySystemError):
    """A compiled graph has as many executions in flight as it may have."""


class RayDirectTransportError(RaySystemError):
    """A tensor sent directly between two actors did not arrive."""


class UnserializableException(RayError):
    """An error came back that this process cannot unpickle; its original text is kept.

    Args:
        original_stack_trace: The remote traceback, as text.
    """

    def __init__(self, original_stack_trace: str) -> None:
        super().__init__(original_stack_trace)
        self._original_stack_trace = original_stack_trace

    def __str__(self) -> str:
        return (
            "The task raised an error that cannot be unpickled here: is its class importable here, "
            f"and does its __reduce__ fit its constructor? The original:\n{self._original_stack_trace}"
        )


class ObjectLostError(RayError):
    """An object's value is gone: nobody holds a copy any more.

    Args:
        object_ref_hex: The object.
        owner_address: The process that created it, where known.
        call_site: The line that created it; "" when not recorded.

    Attributes:
        object_ref_hex: As given.
        owner_address: As given.
        call_site: As given.
    """

    _why = (
        "Every copy was lost when a process or machine died, and it could not be rebuilt. "
        "Run what made it again."
    )

    def __init__(self, object_ref_hex: str, owner_address: object = None, call_site: str = "") -> None:
        super().__init__(object_ref_hex, owner_address, call_site)
        self.object_ref_hex = object_ref_hex
        self.owner_address = owner_address
        self.call_site = call_site

    def _base_str(self) -> str:
        site = f" (created at {self.call_site})" if self.call_site else ""
        return f"Failed to retrieve object {self.object_ref_hex}{site}."

    def __str__(self) -> str:
        return f"{self._base_str()} {self._why}"


class ObjectFetchTimedOutError(ObjectLostError):
    """No copy of the object could be found in time."""

    _why = "No process that holds a copy answered in time."


class ObjectFreedError(ObjectLostError):
    """The object was freed by hand."""

    _why = "It was freed by hand. Free an object only once nobody needs it."


class OwnerDiedError(ObjectLostError):
    """The process that created the object has ended, and the object went with it."""

    _why = (
        "The process that created it, by put() or .remote(), has ended. "
        "Create it in a process that lives longer."
    )


class ReferenceCountingAssertionError(ObjectLostError, AssertionError):
    """The object was deleted while a reference was alive: our mistake, not the user's."""

    _why = "It was deleted while references to it were alive. This is a defect of Skate: please report it."


class ObjectReconstructionFailedError(ObjectLostError):
    """A lost object could not be rebuilt from the task that made it.

    Args:
        object_ref_hex: The object.
        reason: A short code.
        reason_message: Why, in words.
        owner_address: The process that created it, where known.
        call_site: The line that created it; "" when not recorded.
    """

    def __init__(
        self,
        object_ref_hex: str,
        reason: object = None,
        reason_message: str | None = None,
        owner_address: object = None,
        call_site: str = "",
    ) -> None:
        super().__init__(object_ref_hex, owner_address, call_site)
        self.reason = reason
        self.reason_message = reason_message or "The task that made it could not run again."

    def __str__(self) -> str:
        code = "" if self.reason is None else f"[{self.reason}] "
        return f"{self._base_str()} It could not be rebuilt: {code}{self.reason_message}"
