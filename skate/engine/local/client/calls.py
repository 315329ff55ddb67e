"""A call: what is sent, what it waits for, and what becomes of its results."""

from __future__ import annotations

import pickle
from time import monotonic
from typing import Any

from skate import exceptions
from skate.core import serialize
from skate.core.ref import PENDING, STORED, ObjectRef, Stream
from skate.engine.local import protocol

NESTED = 6
"""Kind of a result whose `_value` is (payload, keys of the refs inside)."""

_FIXED = frozenset({int, float, bool, type(None)})
_SIZED = frozenset({str, bytes})


class Call:
    """A task or an actor call that has not ended."""

    __slots__ = (
        "actor",
        "args",
        "attempts",
        "cancelled",
        "cost",
        "created",
        "extra",
        "flag",
        "held",
        "key",
        "lane",
        "link",
        "name",
        "options",
        "parent",
        "ref",
        "refs",
        "retries",
        "slots",
        "spec",
        "stream",
        "waiting_for",
    )

    def __init__(self, key: int, spec: Any, options: Any, flag: int, args: Any) -> None:
        self.key = key
        self.spec = spec
        self.options = options
        self.flag = flag
        self.args = args
        self.ref: ObjectRef[Any] | None = None
        self.refs: list[ObjectRef[Any]] | None = None
        self.stream: Stream | None = None
        self.slots: list[ObjectRef[Any]] | None = None
        self.held: Any = None
        self.extra: dict[str, Any] | None = None
        self.retries = 0
        self.attempts = 0
        self.cost = 0.0
        self.link: Any = None
        self.lane: Any = None
        self.actor: Any = None
        self.name = ""
        self.parent = 0
        self.waiting_for = 0
        self.cancelled = False
        self.created = monotonic()

    def outputs(self) -> list[ObjectRef[Any]]:
        """The refs that this call fills."""
        if self.refs is not None:
            return self.refs
        return [self.ref] if self.ref is not None else []

    def message(self, op: int, target: Any) -> tuple[Any, ...]:
        """What is sent to the worker. The refs among the arguments have values by now."""
        args = self.args
        if self.flag != protocol.ARGS_PLAIN:
            slots = self.slots
            args = (args, None if slots is None else [slot(ref) for ref in slots])
        options = self.options.num_returns
        return (op, self.key, target, self.flag, args, options, self.extra)


def slot(ref: ObjectRef[Any]) -> tuple[int, Any]:
    """The value of a ref among the arguments, as it is sent: (kind, payload, or the key of what is in the store)."""
    kind = ref._kind
    if kind in (STORED, PENDING):
        # Pending again: it was lost while the call waited for its worker, which finds it by its key when it is there again.
        return STORED, ref._key
    return kind, ref._value


def plain(args: tuple[Any, ...]) -> bool:
    """Whether arguments can travel as they are."""
    for arg in args:
        kind = type(arg)
        if kind in _FIXED:
            continue
        if kind not in _SIZED or len(arg) > serialize.INLINE_LIMIT:
            return False
    return True


def plain_but_refs(args: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[int, ...]] | None:
    """Arguments that can travel as they are beside the values of refs among them, with the refs' positions; None if they can't."""
    positions = []
    for index, arg in enumerate(args):
        kind = type(arg)
        if kind is ObjectRef:
            positions.append(index)
        elif kind not in _FIXED and (kind not in _SIZED or len(arg) > serialize.INLINE_LIMIT):
            return None
    values = tuple([None if type(arg) is ObjectRef else arg for arg in args])
    return values, tuple(positions)


def dump_error(error: BaseException) -> bytes:
    """An exception of ours as a payload."""
    return pickle.dumps(error, protocol=5)


def env_error(text: str) -> bytes:
    """What a call ends with whose runtime environment can't be had."""
    return dump_error(exceptions.RuntimeEnvSetupError(text))
