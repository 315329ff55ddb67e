"""Calls that come close together, handed to one call of a function that takes them all."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from skate.serve.exceptions import RayServeException


@dataclass
class _Call:
    """One caller's arguments, and where its result goes: a future, or a queue of items for a streaming function."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    future: asyncio.Future[Any]
    items: asyncio.Queue[Any] | None = None
    context: contextvars.Context = field(default_factory=contextvars.copy_context)


_END = object()


class BatchQueue:
    """The callers of one function that wait, and the batches made of them. It belongs to one asyncio loop.

    A batch goes when it is full, or when its first caller has waited `wait_s` seconds, if fewer than `concurrent` batches run.

    Args:
        run: Runs a batch.
        max_size: How large a batch may be, in calls or by `size_of`.
        wait_s: Seconds.
        concurrent: How many batches run at once.
        size_of: The size of a list of items, where calls are not equally large.
    """

    def __init__(
        self,
        run: Callable[[list[_Call]], Any],
        max_size: int,
        wait_s: float,
        concurrent: int,
        size_of: Callable[[list[Any]], int] | None,
    ) -> None:
        self.max_size = max_size
        self.wait_s = wait_s
        self._run = run
        self._concurrent = concurrent
        self._size_of = size_of
        self._waiting: deque[_Call] = deque()
        self._running: dict[asyncio.Task[None], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def add(self, call: _Call) -> None:
        """A call has been made."""
        self._waiting.append(call)
        if self._full():
            self._go()
        elif self._timer is None:
            self._timer = self._loop.call_later(self.wait_s, self._time_is_up)

    def _full(self) -> bool:
        if self._size_of is None:
            return len(self._waiting) >= self.max_size
        return self._size_of([_item(call) for call in self._waiting]) >= self.max_size

    def _time_is_up(self) -> None:
        self._timer = None
        self._go()

    def _go(self) -> None:
        while self._waiting and len(self._running) < self._concurrent:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            batch = self._take()
            if batch:
                task = self._loop.create_task(self._run(batch))
                self._running[task] = time.time()
                task.add_done_callback(self._done)
            if self._waiting and not self._full():
                self._timer = self._loop.call_later(self.wait_s, self._time_is_up)
                return

    def _take(self) -> list[_Call]:
        batch: list[_Call] = []
        while self._waiting:
            call = self._waiting[0]
            if call.future.cancelled():
                self._waiting.popleft()  # its caller has gone
                continue
            if self._size_of is None:
                if len(batch) >= self.max_size:
                    break
            elif self._size_of([_item(c) for c in (*batch, call)]) > self.max_size:
                if batch:
                    break
                self._waiting.popleft()
                call.future.set_exception(
                    RuntimeError(
                        f"Size of item is greater than max_batch_size: one call is larger than {self.max_size} by itself."
                    )
                )
                continue
            batch.append(self._waiting.popleft())
        return batch

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        if self._waiting and (self._full() or self._timer is None):
            self._go()

    @property
    def started(self) -> list[float]:
        """When the batches that run began."""
        return list(self._running.values())


def _item(call: _Call) -> Any:
    return call.args[0] if call.args else next(iter(call.kwargs.values()), None)


class _Batched:
    """One decorated function, for one object if it is a method."""

    def __init__(self, function: Callable[..., Any], owner: Any, settings: _Settings) -> None:
        self._function = function
        self._owner = owner
        self.queue = BatchQueue(
            self._run_stream if inspect.isasyncgenfunction(function) else self._run_one,
            settings.max_batch_size,
            settings.batch_wait_timeout_s,
            settings.max_concurrent_batches,
            settings.batch_size_fn,
        )

    def _arguments(self, batch: list[_Call]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of the batch: for each of a call's arguments, the list of what callers gave."""
        args = [list(column) for column in zip(*(call.args for call in batch), strict=True)]
        kwargs = {name: [call.kwargs[name] for call in batch] for name in batch[0].kwargs}
        owner = [] if self._owner is None else [self._owner]
        return [*owner, *args], kwargs

    async def _run_one(self, batch: list[_Call]) -> None:
        try:
            args, kwargs = self._arguments(batch)
            results = await self._function(*args, **kwargs)
            _check_results(self._function, results, len(batch))
        except asyncio.CancelledError:
            for call in batch:
                call.future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 -- every caller is told
            for call in batch:
                if not call.future.done():
                    call.future.set_exception(error)
            return
        for call, result in zip(batch, results, strict=True):
            if call.future.done():
                continue
            if isinstance(result, Exception):
                call.future.set_exception(result)
            else:
                call.future.set_result(result)

    async def _run_stream(self, batch: list[_Call]) -> None:
        ended: set[int] = set()
        try:
            args, kwargs = self._arguments(batch)
            async for results in self._function(*args, **kwargs):
                _check_results(self._function, results, len(batch))
                for number, (call, result) in enumerate(zip(batch, results, strict=True)):
                    assert call.items is not None
                    if number in ended:
                        continue
                    if result is StopIteration or result is StopAsyncIteration:
                        ended.add(number)
                        call.items.put_nowait(_END)
                    else:
                        call.items.put_nowait(result)
        except Exception as error:  # noqa: BLE001 -- every caller is told
            last: Any = error
        else:
            last = _END
        for number, call in enumerate(batch):
            if number not in ended and call.items is not None:
                call.items.put_nowait(_Raise(last) if last is not _END else _END)

    async def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One caller's call."""
        call = _Call(args, kwargs, self.queue._loop.create_future())
        self.queue.add(call)
        return await call.future

    async def stream(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncIterator[Any]:
        """One caller's items."""
        call = _Call(args, kwargs, self.queue._loop.create_future(), asyncio.Queue())
        self.queue.add(call)
        assert call.items is not None
        try:
            while True:
                item = await self._next(call)
                if item is _END:
                    return
                if isinstance(item, _Raise):
                    raise item.error
                yield item
        finally:
            call.future.cancel()

    @staticmethod
    async def _next(call: _Call) -> Any:
        """The next item; an item too large for any batch is told through the future."""
        assert call.items is not None
        if call.future.done():
            call.future.result()
        if not call.items.empty():
            return call.items.get_nowait()
        getting = asyncio.ensure_future(call.items.get())
        try:
            await asyncio.wait([getting, call.future], return_when=asyncio.FIRST_COMPLETED)
            if getting.done():
                return getting.result()
            call.future.result()
            raise RayServeException("a batch ended without an answer")
        finally:
            getting.cancel()


@dataclass(frozen=True)
class _Raise:
    """An error among the items."""

    error: BaseException


def _check_results(function: Callable[..., Any], results: Any, wanted: int) -> None:
    if isinstance(results, str) or not hasattr(results, "__len__"):
        raise TypeError(
            f"Batched function {function.__name__} must return a list with one result for each item, got a "
            f"{type(results).__name__}."
        )
    if len(results) != wanted:
        raise RayServeException(
            "Batched function doesn't preserve batch size. "
            f"The input list has length {wanted} but the returned list has length {len(results)}."
        )


@dataclass
class _Settings:
    """Options of `@serve.batch`; the setters of the decorated function change them."""

    max_batch_size: int
    batch_wait_timeout_s: float
    max_concurrent_batches: int
    batch_size_fn: Callable[[list[Any]], int] | None = None


def _whole(name: str, value: Any, error: str) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        article = "an " if name == "max_concurrent_batches" else ""  # as programs expect it
        raise TypeError(f"{name} must be {article}integer >= 1, got {value}")
    if value < 1:
        raise (TypeError if error == "type" else ValueError)(f"{name} must be an integer >= 1, got {value}")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"batch_wait_timeout_s must be a float >= 0, got {value}")
    if value < 0:
        raise ValueError(f"batch_wait_timeout_s must be a float >= 0, got {value}")
    return float(value)


def batch(
    _func: Callable[..., Any] | None = None,
    /,
    max_batch_size: int = 10,
    batch_wait_timeout_s: float = 0.01,
    max_concurrent_batches: int = 1,
    batch_size_fn: Callable[[list[Any]], int] | None = None,
) -> Callable[..., Any]:
    """Collect calls of an async function, and run it once for many of them.

    The function takes a list for each argument and returns a list of results, in the same order; an exception among them is raised for
    that caller alone. An async generator yields such lists; `StopIteration` in one ends that caller's items. Callers pass and get single
    items. The decorated function has `set_max_batch_size` and `set_batch_wait_timeout_s`, for `reconfigure`.

    Args:
        max_batch_size: The most calls in a batch.
        batch_wait_timeout_s: Seconds that the first of a batch waits for others.
        max_concurrent_batches: How many batches run at once.
        batch_size_fn: The size of a list of items, where they are not equally large; `max_batch_size` then limits that.

    Raises:
        TypeError: it decorates something that is not `async def`, or an option has the wrong type.
        ValueError: an option is out of its range.

    Example:
        ```python
        @serve.deployment
        class Model:
            @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.005)
            async def predict(self, rows):
                return list(self.model.predict(np.stack(rows)))

            async def __call__(self, request):
                return float(await self.predict(np.array(await request.json())))
        ```
    """
    if _func is not None:
        if not callable(_func):
            raise TypeError("@serve.batch can only be used to decorate functions or methods.")
        if not (inspect.iscoroutinefunction(_func) or inspect.isasyncgenfunction(_func)):
            raise TypeError("Functions decorated with @serve.batch must be 'async def'")
    if batch_size_fn is not None and not callable(batch_size_fn):
        raise TypeError(f"batch_size_fn must be a callable or None, got {type(batch_size_fn)}")
    settings = _Settings(
        _whole("max_batch_size", max_batch_size, "value"),
        _seconds(batch_wait_timeout_s),
        _whole("max_concurrent_batches", max_concurrent_batches, "type"),
        batch_size_fn,
    )
    if _func is None:
        return lambda function: batch(
            function,
            max_batch_size=settings.max_batch_size,
            batch_wait_timeout_s=settings.batch_wait_timeout_s,
            max_concurrent_batches=settings.max_concurrent_batches,
            batch_size_fn=batch_size_fn,
        )
    return _decorate(_func, settings)


def _decorate(function: Callable[..., Any], settings: _Settings) -> Callable[..., Any]:
    attribute = f"__serve_batches_of_{function.__name__}"
    signature = inspect.signature(function)
    takes_self = next(iter(signature.parameters), "") == "self"
    made: list[_Batched] = []
    state: dict[str, _Batched] = {}

    def batched(owner: Any) -> _Batched:
        holder = state if owner is None else vars(owner)
        found: _Batched | None = holder.get(attribute)
        if found is None or found.queue._loop is not asyncio.get_running_loop():
            found = holder[attribute] = _Batched(function, owner, settings)
            made.append(found)
        return found

    def bound(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        """The object, and the arguments: those by name in their places, as calls of one batch may be written differently."""
        if kwargs:
            found = signature.bind(*args, **kwargs)
            args, kwargs = found.args, found.kwargs
        return (args[0], args[1:], kwargs) if takes_self else (None, args, kwargs)

    if inspect.isasyncgenfunction(function):

        @wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            owner, rest, kwargs = bound(args, kwargs)
            async for item in batched(owner).stream(rest, kwargs):
                yield item

    else:

        @wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            owner, rest, kwargs = bound(args, kwargs)
            return await batched(owner).call(rest, kwargs)

    def set_max_batch_size(new: int) -> None:
        settings.max_batch_size = _whole("max_batch_size", new, "value")
        for each in made:
            each.queue.max_size = settings.max_batch_size

    def set_batch_wait_timeout_s(new: float) -> None:
        settings.batch_wait_timeout_s = _seconds(new)
        for each in made:
            each.queue.wait_s = settings.batch_wait_timeout_s

    given: Any = wrapper
    given.set_max_batch_size = set_max_batch_size
    given.set_batch_wait_timeout_s = set_batch_wait_timeout_s
    given._get_max_batch_size = lambda: settings.max_batch_size
    given._get_batch_wait_timeout_s = lambda: settings.batch_wait_timeout_s
    given._get_curr_iteration_start_times = lambda: [when for each in made for when in each.queue.started]
    decorated: Callable[..., Any] = given
    return decorated


__all__ = ["BatchQueue", "batch"]
