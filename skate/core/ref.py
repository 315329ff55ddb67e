"""References to values that exist or will: `ObjectRef` and the generator of them.

A ref is one Python object per value per process: two refs to the same value in the same process are the same object, so
identity is equality and dictionaries of refs cost nothing extra. Engines keep their state in the underscore slots.
"""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from skate.core import runtime, serialize
from skate.core.ids import JobID, TaskID

if TYPE_CHECKING:
    import asyncio
    import concurrent.futures
    from collections.abc import Iterable

    from skate.engine.base import Engine

T = TypeVar("T")

PENDING = 0
"""The value is being made."""
VALUE = 1
"""`_value` is the value itself, of an immutable built-in type."""
BYTES = 2
"""`_value` is a pickle of the value: bytes, or a tuple of bytes whose tail are out-of-band buffers."""
STORED = 3
"""The value is in the shared-memory store, under the ref's key."""
ERROR = 4
"""`_value` is the pickle of an exception."""
REMOTE = 5
"""Somebody else's value that this process has not asked for yet."""

INDEX_BITS = 24
"""The low bits of a key number a task's results; the bits above number the task, and above those its maker."""

PROCESS_BITS = 20
"""The lower bits of a process's number tell it from others of its session, the upper ones are its session's."""


class ObjectRef(Generic[T]):
    """A reference to a value of type `T` that a task, an actor call or `put` makes.

    `get` waits for the value; `await ref` does so in asyncio code; `ref.future()` gives a `concurrent.futures.Future`.
    """

    __slots__ = ("__weakref__", "_call", "_guard", "_key", "_kind", "_value", "_waiters")

    def __init__(self, key: int | bytes) -> None:
        self._key: int = key if type(key) is int else _key_in(key)  # type: ignore[arg-type]
        self._kind: int = PENDING
        self._value: Any = None
        self._waiters: list[Callable[[ObjectRef[Any]], None]] | None = None
        self._call: Any = None
        self._guard: Any = None

    def binary(self) -> bytes:
        """The 28 bytes that name the value."""
        return b"\x00\x00\x00\x01" + self._key.to_bytes(24, "big")

    def hex(self) -> str:
        """`binary()` in hex: 56 characters."""
        return self.binary().hex()

    @classmethod
    def nil(cls) -> ObjectRef[Any]:
        """The ref that names nothing."""
        return cls(b"\xff" * 28)

    @classmethod
    def from_binary(cls, id_bytes: bytes) -> ObjectRef[Any]:
        """A ref of this name, which `binary()` gave, to print or to look up: values are read through refs that were passed on."""
        return cls(id_bytes)

    @classmethod
    def from_hex(cls, hex_id: str) -> ObjectRef[Any]:
        """The same for what `hex()` gave."""
        return cls(bytes.fromhex(hex_id))

    @classmethod
    def from_random(cls) -> ObjectRef[Any]:
        """A ref with a name that nothing has."""
        return cls(os.urandom(28))

    @classmethod
    def size(cls) -> int:
        """Length of `binary()` in bytes."""
        return 28

    def is_nil(self) -> bool:
        """Whether the ref names nothing."""
        return self._key == int.from_bytes(b"\xff" * 24, "big")

    def task_id(self) -> TaskID:
        """The task that makes the value."""
        return TaskID((self._key >> INDEX_BITS << INDEX_BITS).to_bytes(24, "big"))

    def job_id(self) -> JobID:
        """The program that the value belongs to."""
        return JobID.from_int(1)

    def owner_address(self) -> bytes:
        """The process that made the call or the `put`, as bytes that are the same for all refs of one process."""
        return (self._key >> 64).to_bytes(16, "big")

    def call_site(self) -> str:
        """Where the ref was made; empty, as recording it is off."""
        return ""

    def future(self) -> concurrent.futures.Future[T]:
        """A `concurrent.futures.Future` that ends as the ref does."""
        import concurrent.futures

        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()
        engine = self._engine()

        def finish(ref: ObjectRef[Any]) -> None:
            try:
                future.set_result(engine.get([ref], None)[0])
            except BaseException as error:
                future.set_exception(error)

        engine.on_done(self, finish)
        return future

    def as_future(self) -> asyncio.Future[T]:
        """An `asyncio.Future` of the running loop that ends as the ref does."""
        import asyncio

        return self._engine().wrap_asyncio(self, asyncio.get_running_loop())

    def __await__(self) -> Generator[Any, None, T]:
        return self.as_future().__await__()

    def _on_completed(self, callback: Callable[[Any], None]) -> ObjectRef[T]:
        """Call `callback(value or exception)` once the value is there."""
        engine = self._engine()

        def finish(ref: ObjectRef[Any]) -> None:
            try:
                outcome = engine.get([ref], None)[0]
            except BaseException as error:
                outcome = error
            callback(outcome)

        engine.on_done(self, finish)
        return self

    def _on_settled(self, callback: Callable[[bool], None]) -> None:
        """Call `callback(failed)` once the value is there, or an error in its place. The value is not read."""

        def settled(ref: ObjectRef[Any]) -> None:
            callback(ref._kind == ERROR)

        runtime.current().on_done(self, settled)

    def _engine(self) -> Engine:
        engine = runtime.current()
        if runtime.sessions > 1:
            check_session(engine, (self,))
        return engine

    def __lt__(self, other: ObjectRef[Any]) -> bool:
        return self._key < other._key

    def __reduce__(self) -> tuple[Any, ...]:
        serialize.note_nested(self)
        return restore_ref, (self._key,)

    def __copy__(self) -> ObjectRef[T]:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> ObjectRef[T]:
        return self

    def __repr__(self) -> str:
        return f"ObjectRef({self.hex()})"

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(
            f"{self!r} can't be iterated: it stands for one value. Get the value first with skate.get(ref), or call the "
            'task with .options(num_returns=N) to have N refs, or num_returns="streaming" for a generator of them.'
        )


def check_session(engine: Engine, refs: Iterable[ObjectRef[Any]]) -> None:
    """Refuse refs of a session that has ended.

    Raises:
        ValueError: one of them is.
    """
    for ref in refs:
        if not engine.owns(ref._key):
            raise ValueError(
                f"{ref!r} is an object whose owner is unknown: it is of a session that has ended, or of none. Objects last as long as "
                "the session that they were made in: make it again in the current one."
            )


def _key_in(binary: bytes) -> int:
    if len(binary) != ObjectRef.size():
        raise ValueError(f"ObjectRef: ID string needs to have length {ObjectRef.size()}, got {len(binary)}.")
    return int.from_bytes(binary[4:], "big")


@serialize.by_name
def restore_ref(key: int) -> ObjectRef[Any]:
    """The ref of this process for `key`: what unpickling a ref gives."""
    engine = runtime.engine
    if engine is None:
        engine = runtime.current()
    return engine.restore_ref(key)


class Stream:
    """The state of a generator task as its caller sees it: refs as they arrive, then the end."""

    __slots__ = ("__weakref__", "call", "consumed", "done", "items", "key", "produced", "ref", "waiters")

    def __init__(self, key: int, ref: ObjectRef[Any]) -> None:
        self.key = key
        self.ref = ref
        self.items: deque[ObjectRef[Any]] = deque()
        self.produced = 0
        self.consumed = 0
        self.done = False
        self.call: Any = None
        self.waiters: list[Callable[[Stream], None]] = []

    def changed(self) -> list[Callable[[Stream], None]]:
        """The callbacks to run now that an item or the end has come; they are forgotten."""
        waiters = self.waiters
        self.waiters = []
        return waiters


class ObjectRefGenerator:
    """The refs that a generator task yields, each available as soon as the task has yielded it.

    Iterate it with `for` or `async for`. A task's exception comes as the last ref: `get` on it raises.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __iter__(self) -> ObjectRefGenerator:
        return self

    def __next__(self) -> ObjectRef[Any]:
        return self._next_sync(None)

    def _next_sync(self, timeout_s: float | None = None) -> ObjectRef[Any]:
        """The next ref; a nil ref if none came within `timeout_s` seconds.

        Raises:
            StopIteration: the task has yielded all it had.
        """
        engine = runtime.current()
        if not engine.wait_stream(self._stream, timeout_s):
            return ObjectRef.nil()
        ref = engine.take_item(self._stream)
        if ref is None:
            raise StopIteration
        return ref

    def __aiter__(self) -> AsyncIterator[ObjectRef[Any]]:
        return self

    async def __anext__(self) -> ObjectRef[Any]:
        import asyncio

        engine = runtime.current()
        stream = self._stream
        while not (stream.items or stream.done):
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()
            engine.on_stream(stream, functools.partial(_finish_soon, loop, future))
            await future
        ref = engine.take_item(stream)
        if ref is None:
            raise StopAsyncIteration
        return ref

    def send(self, value: Any) -> None:
        """Refused: nothing can be sent into a remote generator."""
        raise NotImplementedError(
            "nothing can be sent into a remote generator: call an actor's methods instead."
        )

    def throw(self, value: Any) -> None:
        """Refused: nothing can be thrown into a remote generator."""
        raise NotImplementedError("nothing can be thrown into a remote generator: skate.cancel() ends it.")

    def close(self) -> None:
        """Refused: drop the generator to end it, or cancel it."""
        raise NotImplementedError(
            "a remote generator can't be closed: drop it, or call skate.cancel() on it."
        )

    async def asend(self, value: Any) -> None:
        """Refused, as `send` is."""
        self.send(value)

    async def athrow(self, value: Any) -> None:
        """Refused, as `throw` is."""
        self.throw(value)

    async def aclose(self) -> None:
        """Refused, as `close` is."""
        self.close()

    def completed(self) -> ObjectRef[Any]:
        """A ref that is ready when the task has ended. Its value is None: an error is the last ref of the generator."""
        return self._stream.ref

    def next_ready(self) -> bool:
        """Whether `next()` would return, or raise what the task has raised, without waiting; False once all items are taken."""
        engine = runtime.current()
        return not self.is_finished() and engine.wait_stream(self._stream, 0)

    @property
    def _generator_ref(self) -> ObjectRef[Any]:
        """The same as `completed()`: what libraries pass to `wait`."""
        return self._stream.ref

    def is_finished(self) -> bool:
        """Whether the task has ended and every ref has been taken."""
        return self._stream.done and not self._stream.items

    def task_id(self) -> TaskID:
        """The task that yields."""
        return self._stream.ref.task_id()

    def __del__(self) -> None:
        engine = runtime.engine
        stream = getattr(self, "_stream", None)
        if engine is not None and stream is not None and not stream.done:
            engine.drop_stream(stream)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "an ObjectRefGenerator can't be pickled: a remote generator stays in its process. Only the process that called the "
            "task can iterate it; pass the refs it yields instead."
        )

    def __repr__(self) -> str:
        state = "finished" if self._stream.done else "running"
        return f"ObjectRefGenerator({self._stream.ref.hex()}, {state}, {len(self._stream.items)} ready)"


class DynamicObjectRefGenerator:
    """The refs that a `num_returns="dynamic"` task yielded, all there once the task has ended."""

    def __init__(self, refs: list[ObjectRef[Any]]) -> None:
        self._refs = list(refs)
        self._left: Iterator[ObjectRef[Any]] | None = None

    def __iter__(self) -> Iterator[ObjectRef[Any]]:
        # One pass, as every generator gives.
        if self._left is None:
            self._left = iter(self._refs)
        return self._left

    def __len__(self) -> int:
        return len(self._refs)

    def __getitem__(self, index: int) -> ObjectRef[Any]:
        return self._refs[index]

    def __repr__(self) -> str:
        return f"DynamicObjectRefGenerator({len(self._refs)} refs)"


def _finish_soon(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None], _stream: Stream) -> None:
    loop.call_soon_threadsafe(_finish, future)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
