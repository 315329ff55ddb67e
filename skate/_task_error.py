"""What user code raised, on its way back: an error that is of our type and of the user's own at once."""

from __future__ import annotations

import functools
import os
import pickle
from typing import Any, SupportsIndex

from skate._exception_state import Forward, Portable, bare, builtin_args, combine, reduce_exception

_MAX_LINES = 60  # what str() shows of a remote traceback: about one screen


class RayError(Exception):
    """Base of every error that Skate raises by itself.

    Example:
        >>> from skate.exceptions import GetTimeoutError, RayError
        >>> issubclass(GetTimeoutError, RayError)
        True
    """

    __module__ = "skate.exceptions"

    def __reduce__(self) -> tuple[Any, ...]:
        return reduce_exception(self)

    def to_bytes(self) -> bytes:
        """The error as bytes that `from_bytes` takes."""
        return pickle.dumps(self)

    @staticmethod
    def from_bytes(b: bytes) -> RayError:
        """The error that `to_bytes` gave; only from a place that is trusted, as it is unpickled.

        Raises:
            ValueError: the bytes hold something else.
        """
        error = pickle.loads(b)
        if not isinstance(error, RayError):
            raise ValueError(f"the bytes hold a {type(error).__name__}, not an error of to_bytes().")
        return error


class RayTaskError(RayError):
    r"""User code raised in a task or actor call.

    `as_instanceof_cause()` gives the instance that users see: of this class and of the cause's own.

    Args:
        function_name: What ran: "f", "Actor.method".
        traceback_str: The remote traceback, as `traceback.format_exception` writes it.
        cause: The error itself.
        proctitle: The label of the remote process in the traceback; default "skate::<function_name>".
        pid: The remote process; default this one.
        ip: The remote machine; default "127.0.0.1".
        actor_repr: `repr()` of the actor, when an actor method raised.
        actor_id: The actor, in hex.

    Example:
        >>> from skate.exceptions import RayTaskError
        >>> error = RayTaskError("f", "Traceback ...\nKeyError: 'a'", KeyError("a")).as_instanceof_cause()
        >>> isinstance(error, RayTaskError) and isinstance(error, KeyError), error.args, error.cause
        (True, ('a',), KeyError('a'))
    """

    __module__ = "skate.exceptions"

    # A cause's own versions of these must not act on an instance that lacks the cause's state.
    __setattr__ = BaseException.__setattr__
    __delattr__ = BaseException.__delattr__
    __getattribute__ = BaseException.__getattribute__
    __eq__ = BaseException.__eq__
    __hash__ = BaseException.__hash__

    def __init__(
        self,
        function_name: str,
        traceback_str: str,
        cause: BaseException | None = None,
        proctitle: str | None = None,
        pid: int | None = None,
        ip: str | None = None,
        actor_repr: str | None = None,
        actor_id: str | None = None,
    ) -> None:
        self.function_name = function_name
        self.traceback_str = traceback_str
        self.cause = cause
        self.proctitle = proctitle or f"skate::{function_name}"
        self.pid = os.getpid() if pid is None else pid
        self.ip = ip or "127.0.0.1"
        self.actor_repr = actor_repr
        self._actor_id = actor_id
        super().__init__(function_name, traceback_str, cause, self.proctitle, self.pid, self.ip)

    def as_instanceof_cause(self) -> RayTaskError:
        """This error as an instance of both `RayTaskError` and the cause's type.

        Returns:
            The dual instance; this error itself when the cause's type cannot be combined (it refuses
            subclasses, or is a `RayTaskError` already). The original is in `.cause` either way.
        """
        if self.cause is None or isinstance(self.cause, RayTaskError):
            return self
        return self.make_dual_exception_instance()

    def make_dual_exception_instance(self) -> RayTaskError:
        """What `as_instanceof_cause` returns for a cause that is not a `RayTaskError`."""
        cause = self.cause
        if cause is None:
            return self
        key: Any = type(cause)
        dual_class = _dual_class(key)
        if dual_class is not None:
            try:
                return dual_class.around(self, cause)
            except TypeError:
                pass  # a group around a KeyboardInterrupt cannot be an Exception: said below
        note = f"{type(cause).__qualname__} cannot be subclassed: catch RayTaskError and look at its .cause."
        if note not in getattr(self, "__notes__", ()):
            self.add_note(note)
        return self

    def __str__(self) -> str:
        where = f"pid={self.pid}, ip={self.ip}"
        if self._actor_id:
            where += f", actor_id={self._actor_id}"
        if self.actor_repr:
            where += f", repr={self.actor_repr}"
        head = f"{self.proctitle}() ({where})"
        lines = self.traceback_str.rstrip("\n").split("\n")
        lines = [head if line.startswith("Traceback ") else line for line in lines]
        if len(lines) > _MAX_LINES:
            first = _MAX_LINES // 3
            left_out = len(lines) - _MAX_LINES + 1
            note = f"  ... {left_out} lines left out; all of them are in .traceback_str ..."
            lines[first : first + left_out] = [note]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"RayTaskError({self.function_name!r}, pid={self.pid}, ip={self.ip!r}, cause={self.cause!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        state = dict(self.__dict__)
        cause = state.pop("cause")
        return _restore_task_error, (type(self), state, None if cause is None else Portable(cause))

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return self.__reduce__()


def _restore_task_error(
    cls: type[RayTaskError], state: dict[str, Any], cause: BaseException | Portable | None
) -> RayTaskError:
    error = bare(cls, ())
    error.__dict__.update(state)
    error.cause = cause.error if isinstance(cause, Portable) else cause  # copy.copy leaves the wrapper on
    error.args = (error.function_name, error.traceback_str, error.cause, error.proctitle, error.pid, error.ip)
    return error


class _DualError(RayTaskError):
    """A `RayTaskError` that looks like its cause; derived once per class of cause, together with that class.

    The cause's attributes are copied and win; the task error's own (`function_name`, `pid`) come after them.
    """

    __module__ = "skate.exceptions"
    _task_error: RayTaskError

    @classmethod
    def around(cls, task_error: RayTaskError, cause: BaseException) -> _DualError:
        """The instance that stands for both `task_error` and its `cause`."""
        dual = bare(cls, builtin_args(cause))
        dual.__dict__.update(cause.__dict__)
        dual.__dict__["_task_error"] = task_error
        return dual

    def __getattr__(self, name: str) -> Any:
        task_error = self.__dict__.get("_task_error")
        if task_error is None:
            raise AttributeError(name)
        try:
            return getattr(task_error.cause, name)  # the cause's class may have a __getattr__
        except AttributeError:
            return getattr(task_error, name)

    def as_instanceof_cause(self) -> RayTaskError:
        return self

    def make_dual_exception_instance(self) -> RayTaskError:
        return self

    def __str__(self) -> str:
        return str(self._task_error)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.cause!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_dual, (self._task_error,)


# Data descriptors, so that they win over attributes of the same names copied from the cause.
_DualError.cause = property(lambda self: self._task_error.cause)  # type: ignore[assignment]
_DualError.args = Forward("args")  # type: ignore[assignment]


@functools.lru_cache(maxsize=512)
def _dual_class(cause_class: type[BaseException]) -> type[_DualError] | None:
    return combine(_DualError, cause_class, f"RayTaskError({cause_class.__name__})")


def _restore_dual(task_error: RayTaskError) -> RayTaskError:
    return task_error.as_instanceof_cause()
