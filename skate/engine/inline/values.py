"""Copying values: what a ref holds, and the refs and handles inside it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core import serialize
from skate.core.actor import ActorState
from skate.core.arguments import pack_args, pack_result, put_back
from skate.core.failure import pack_task_error
from skate.core.ref import BYTES, ERROR, VALUE, ObjectRef

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Outcome = tuple[int, Any, list[Any]]
"""A ref's kind, its value, and what the value keeps alive."""


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

    def outcome(self, value: Any, name: str = "") -> Outcome:
        """A copy of `value`, as a ref holds it; `name` is what has returned or yielded it, if anything has.

        Raises:
            Exception: what pickling it raises.
        """
        if type(value) in serialize.PLAIN:
            return VALUE, value, []
        packed = pack_result(value, name) if name else serialize.pack(value)
        return BYTES, packed.inline(), self.hold(packed.nested)

    def error(self, error: BaseException) -> Outcome:
        """An error of ours, as a ref holds it."""
        packed = serialize.pack(error)
        return ERROR, packed.inline(), self.hold(packed.nested)

    def user_error(
        self, error: BaseException, name: str, task_id: object, actor_id: str | None, instance: Any
    ) -> Outcome:
        """What user code raised, as a ref holds it: a `RayTaskError` around it."""
        packed = pack_task_error(error, name, task_id=task_id, instance=instance, actor_id=actor_id)
        return ERROR, packed.inline(), self.hold(packed.nested)

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
        packed, self.slots = pack_args(args, kwargs, what)
        self.payload = packed.inline()
        self.kept = values.hold(packed.nested)

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
            return put_back(args, kwargs, found)
        return args, kwargs
