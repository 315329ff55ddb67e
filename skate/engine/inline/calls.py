"""One task or actor call, and what becomes of its results."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core.ref import ERROR, PENDING, VALUE, ObjectRef, ObjectRefGenerator, Stream
from skate.engine.placement.where import ANYWHERE, Where

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from skate.engine.inline.actors import Actor
    from skate.engine.inline.fiber import Fiber, Latch
    from skate.engine.inline.history import History
    from skate.engine.inline.resources import Holding
    from skate.engine.inline.values import Arguments, Outcome

current: ContextVar[Call | None] = ContextVar("skate_inline_call", default=None)
"""What runs in this fiber or coroutine; None in the driver."""


def settle(ref: ObjectRef[Any], outcome: Outcome) -> None:
    """Give a ref its value, and tell whoever waits (with the scheduler's lock held)."""
    if ref._kind != PENDING:
        return
    kind, ref._value, kept = outcome
    ref._guard = kept or None
    ref._kind = kind
    ref._call = None
    waiters, ref._waiters = ref._waiters, None
    for waiter in waiters or ():
        waiter(ref)


def add_waiter(ref: ObjectRef[Any], waiter: Callable[[ObjectRef[Any]], Any]) -> None:
    """Have a pending ref call `waiter` once it has a value (with the scheduler's lock held)."""
    if ref._waiters is None:
        ref._waiters = []
    ref._waiters.append(waiter)


def drop_waiter(ref: ObjectRef[Any], waiter: Callable[[ObjectRef[Any]], Any]) -> None:
    """Undo `add_waiter` (with the scheduler's lock held)."""
    if ref._waiters is not None and waiter in ref._waiters:
        ref._waiters.remove(waiter)


class Call:
    """A task or an actor call, from `.remote()` to its result."""

    __slots__ = (
        "actor",
        "arguments",
        "backpressure",
        "began",
        "caller",
        "cancelled",
        "created",
        "demand",
        "done",
        "dropped",
        "env_vars",
        "fiber",
        "function",
        "function_name",
        "group",
        "history",
        "holding",
        "infeasible",
        "key",
        "life",
        "module",
        "name",
        "num_returns",
        "options",
        "parent",
        "ref",
        "refs",
        "registry",
        "retries",
        "room",
        "started",
        "stream",
        "task",
        "waiting_for",
        "where",
    )

    def __init__(self, key: int, name: str, options: Any, arguments: Arguments, parent: Call | None) -> None:
        self.key = key
        self.function_name = name
        self.module = ""
        """What defines the function; for a method that is for its actor to tell."""
        self.name: str = options.name or name
        self.options = options
        self.arguments = arguments
        self.num_returns: Any = options.num_returns
        self.backpressure: int | None = options.generator_backpressure
        self.parent = 0 if parent is None else parent.key
        self.caller = 0 if parent is None else (parent.key if parent.actor is None else parent.actor.key)
        self.function: Callable[..., Any] | None = None
        self.demand: dict[str, int] = {}
        self.where: Where = ANYWHERE
        self.actor: Actor | None = None
        self.group = ""
        self.ref: ObjectRef[Any] | None = None
        self.refs: list[ObjectRef[Any]] = []
        self.registry: dict[int, Call] = {}
        self.stream: Stream | None = None
        self.dropped = False
        self.room: Latch | None = None
        self.retries = 0
        self.life = 0
        self.waiting_for = 0
        self.started = False
        self.cancelled = False
        self.done = False
        self.fiber: Fiber | None = None
        self.task: asyncio.Task[None] | None = None
        self.holding: Holding | None = None
        self.infeasible = ""
        self.env_vars: dict[str, str] = {}
        self.created = time.time()
        self.began = 0.0
        self.history: History | None = None

    def outputs(self) -> Any:
        """Make the refs that this call fills, and what the caller gets."""
        returns = self.num_returns
        if returns in (1, "dynamic", "streaming"):
            self.ref = ObjectRef(self.key)
            self.refs = [self.ref]
        else:
            self.refs = [ObjectRef(self.key + index) for index in range(returns)]
        for ref in self.refs:
            ref._call = self
        if returns == "streaming":
            assert self.ref is not None
            self.stream = Stream(self.key, self.ref)
            self.stream.call = self
            return ObjectRefGenerator(self.stream)
        if self.ref is not None:
            return self.ref
        return list(self.refs) or None

    def register(self, registry: dict[int, Call], history: History) -> None:
        """Be listed there until the end, and remembered after it."""
        self.history = history
        self.registry = registry
        registry[self.key] = self

    def task_id(self) -> Any:
        """The id by which users know it."""
        return ObjectRef[Any](self.key).task_id()

    # -- results (with the scheduler's lock held) ----------------------------------------

    def finish(self, outcomes: list[Outcome]) -> None:
        """End with these results, one for each ref."""
        if self.done:
            return
        self._end()
        if self.history is not None:
            self.history.end(self, outcomes[0] if outcomes else None)
        if self.stream is not None:
            kind = outcomes[0][0]
            if kind == ERROR:
                self._append(self.stream, outcomes[0])
            # What went wrong is an item of the stream: it is not told twice.
            outcomes = [(VALUE, None, [])]
            self.stream.done = True
            self.stream.call = None
            self._tell(self.stream)
        for ref, outcome in zip(self.refs, outcomes, strict=True):
            settle(ref, outcome)

    def fail(self, outcome: Outcome) -> None:
        """End with an error in every ref that has no value yet."""
        self.finish([outcome] * max(1, len(self.refs)) if self.refs else [])

    def item(self, index: int, outcome: Outcome) -> None:
        """A generator has yielded; an item that an earlier attempt has yielded is not told again."""
        stream = self.stream
        if stream is None or self.done or index < stream.produced:
            return
        self._append(stream, outcome)
        self._tell(stream)

    def _end(self) -> None:
        self.done = True
        self.registry.pop(self.key, None)
        if self.actor is not None:
            self.actor.unanswered -= 1

    @staticmethod
    def _append(stream: Stream, outcome: Outcome) -> None:
        stream.produced += 1
        ref: ObjectRef[Any] = ObjectRef(stream.key + stream.produced)
        settle(ref, outcome)
        stream.items.append(ref)

    @staticmethod
    def _tell(stream: Stream) -> None:
        for callback in stream.changed():
            callback(stream)

    # -- back-pressure ---------------------------------------------------------------------------------------------------

    def has_room(self) -> bool:
        """Whether a generator may yield another item (or should end)."""
        stream = self.stream
        if stream is None or self.dropped or self.backpressure is None:
            return True
        return stream.produced - stream.consumed < self.backpressure

    def room_changed(self) -> None:
        """Items were taken, or nobody wants more."""
        if self.room is not None and self.has_room():
            room, self.room = self.room, None
            room()

    # -- retries ----------------------------------------

    def may_retry(self, error: BaseException) -> bool:
        """Whether to run again after user code raised `error`; counts the attempt."""
        wanted = self.options.retry_exceptions
        if not wanted or self.retries == 0 or self.cancelled:
            return False
        if isinstance(error, exceptions.RayTaskError) and isinstance(error.cause, BaseException):
            error = error.cause
        if wanted is not True and not isinstance(error, wanted):
            return False
        self.retries -= 1
        return True
