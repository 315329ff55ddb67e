"""Copying values: what a ref holds, and the refs and handles inside it."""

from __future__ import annotations

import os
import traceback
import weakref
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core import serialize
from skate.core.actor import ActorState
from skate.core.ref import BYTES, ERROR, VALUE, ObjectRef

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SIZED = (str, bytes)
_ENGINES = os.sep + os.path.join("skate", "engine") + os.sep

Outcome = tuple[int, Any, list[Any]]
"""A ref's kind, its value, and what the value keeps alive."""


class ArgSlot:
    """Stands in pickled arguments for a top-level ref."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def __reduce__(self) -> tuple[Any, ...]:
        return ArgSlot, (self.index,)


class Values:
    """Packs and unpacks; knows the live refs by their keys."""

    def __init__(self, counted: Callable[[ActorState], ActorState]) -> None:
        self._known: weakref.WeakValueDictionary[int, ObjectRef[Any]] = weakref.WeakValueDictionary()
        self._counted = counted
        """The state that keeps an actor alive, for one that may not (an actor's handle to itself)."""

    def hold(self, nested: list[Any]) -> list[Any]:
        """What to keep for a value with these refs and handles inside, so that unpickling it finds them."""
        kept = []
        for item in nested:
            if isinstance(item, ActorState):
                kept.append(self._counted(item))
            else:
                self._known[item._key] = item
                kept.append(item)
        return kept

    def restore(self, key: int) -> ObjectRef[Any]:
        """The ref for a key that was unpickled."""
        found = self._known.get(key)
        if found is not None:
            return found
        ref: ObjectRef[Any] = ObjectRef(key)
        error = exceptions.ObjectLostError(ref.hex(), None, "")
        ref._kind, ref._value = ERROR, serialize.pack(error).inline()
        return ref

    def outcome(self, value: Any) -> Outcome:
        """A copy of `value`, as a ref holds it.

        Raises:
            Exception: what pickling it raises.
        """
        if type(value) in serialize.PLAIN:
            return VALUE, value, []
        packed = serialize.pack(value)
        return BYTES, packed.inline(), self.hold(packed.nested)

    def error(self, error: BaseException) -> Outcome:
        """An error of ours, as a ref holds it."""
        packed = serialize.pack(error)
        return ERROR, packed.inline(), self.hold(packed.nested)

    def user_error(self, error: BaseException, name: str, actor_id: str | None, instance: Any) -> Outcome:
        """What user code raised, as a ref holds it: a `RayTaskError` around it."""
        text = _traceback_text(error)
        cause: BaseException = error
        if isinstance(error, exceptions.RayTaskError) and isinstance(error.cause, BaseException):
            cause = error.cause
        shown = None if instance is None else _safe_repr(instance)
        wrapped = exceptions.RayTaskError(name, text, cause, actor_repr=shown, actor_id=actor_id)
        try:
            outcome = self.error(wrapped)
            serialize.unpack(outcome[1])
        except Exception as failure:
            substitute = exceptions.RaySystemError(
                f"the task raised {type(error).__name__}: {error}, which can't be pickled: {type(failure).__name__}: {failure}."
            )
            outcome = self.error(exceptions.RayTaskError(name, text, substitute, actor_id=actor_id))
        return outcome

    def value(self, ref: ObjectRef[Any]) -> Any:
        """A fresh copy of the ref's value.

        Raises:
            Exception: the ref's error.
            RaySystemError: the value can't be unpickled.
        """
        if ref._kind == VALUE:
            return ref._value
        if ref._kind == BYTES:
            try:
                return serialize.unpack(ref._value)
            except Exception as failure:
                raise exceptions.RaySystemError(
                    f"the value of {ref!r} can't be unpickled: {type(failure).__name__}: {failure}"
                ) from failure
        raise self.exception(ref._value)

    @staticmethod
    def exception(payload: Any) -> BaseException:
        """The exception that an error's payload holds, as users see it."""
        try:
            error = serialize.unpack(payload)
        except Exception as failure:
            return exceptions.RaySystemError(
                f"the task's exception can't be unpickled: {type(failure).__name__}: {failure}."
            )
        if isinstance(error, exceptions.RayTaskError):
            return error.as_instanceof_cause()
        assert isinstance(error, BaseException)
        return error


class Arguments:
    """The arguments of a call, copied."""

    __slots__ = ("kept", "payload", "plain", "slots")

    def __init__(self, values: Values, args: tuple[Any, ...], kwargs: Mapping[str, Any], what: str) -> None:
        self.slots: list[ObjectRef[Any]] = []
        self.kept: list[Any] = []
        self.payload: Any = None
        self.plain = not kwargs and all(type(arg) in serialize.PLAIN for arg in args)
        if self.plain:
            self.payload = args
            return
        swapped = (tuple([self._swap(a) for a in args]), {k: self._swap(v) for k, v in kwargs.items()})
        try:
            packed = serialize.pack(swapped)
        except Exception as error:
            raise _unpicklable(args, kwargs, what, error) from error
        self.payload = packed.inline()
        self.kept = values.hold(packed.nested)

    def _swap(self, value: Any) -> Any:
        if type(value) is not ObjectRef:
            return value
        self.slots.append(value)
        return ArgSlot(len(self.slots) - 1)

    def forget(self) -> None:
        """They are not needed again."""
        self.slots = []
        self.kept = []
        self.payload = None

    def unpack(self, values: Values) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """A fresh copy of the arguments, with the values of the refs among them."""
        if self.plain:
            return self.payload, {}
        args, kwargs = serialize.unpack(self.payload)
        if self.slots:
            found = [values.value(ref) for ref in self.slots]
            args = tuple([found[a.index] if type(a) is ArgSlot else a for a in args])
            kwargs = {k: found[v.index] if type(v) is ArgSlot else v for k, v in kwargs.items()}
        return args, kwargs


def _unpicklable(args: tuple[Any, ...], kwargs: Mapping[str, Any], what: str, error: Exception) -> TypeError:
    named = [(f"argument {i + 1}", a) for i, a in enumerate(args)] + [
        (f"argument {k!r}", v) for k, v in kwargs.items()
    ]
    for name, value in named:
        try:
            serialize.pack(value)
        except Exception as cause:
            shown = repr(value)
            shown = shown if len(shown) < 200 else shown[:200] + "…"
            return TypeError(
                f"Could not serialize the argument {shown} ({name}, a {type(value).__name__}) for {what}: {cause} "
                "Use skate.util.inspect_serializability() to see which part can't be pickled."
            )
    return TypeError(f"Could not serialize the arguments for {what}: {error}")


def _traceback_text(error: BaseException) -> str:
    # The frames of this package above the user's function say nothing to the user.
    trace = error.__traceback__
    while trace is not None and _ENGINES in trace.tb_frame.f_code.co_filename:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _safe_repr(instance: Any) -> str | None:
    plain: Any = object.__repr__
    if type(instance).__repr__ is plain:
        return None
    try:
        return repr(instance)[:200]
    except Exception:
        return None
