"""Iterators of one process: stages over an iterable, each made of the one before."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import skate
from skate.util.iter_metrics import MetricsContext, SharedMetrics

T = TypeVar("T")

_running = threading.local()
"""`metrics`: the context of the iterator that makes an item in this thread."""


class _NextValueNotReady(Exception):
    """Stands in an iterator for an item that was not there in time."""


NOT_READY = _NextValueNotReady()


class LocalIterator(Generic[T]):
    """An iterator over items, with stages that are applied as items are asked for. It can be sent to tasks before it is used.

    Args:
        base_iterator: Called once, with a timeout in seconds or None, when the first item is asked for: returns the items. After the
            timeout it yields `_NextValueNotReady`.
        shared_metrics: Where its stages count.
        local_transforms: Stages: functions of an iterator that return one.
        timeout: Seconds after which `_NextValueNotReady` stands for an item that is not there; None waits.
        name: How it is shown.
    """

    def __init__(
        self,
        base_iterator: Callable[..., Iterable[T]],
        shared_metrics: SharedMetrics,
        local_transforms: Sequence[Callable[[Iterable[Any]], Any]] | None = None,
        timeout: float | None = None,
        name: str | None = None,
    ) -> None:
        self.base_iterator = base_iterator
        self.shared_metrics = shared_metrics
        self.local_transforms = list(local_transforms or ())
        self.timeout = timeout
        self.name = name or "unknown"
        self.built_iterator: Iterator[T] | None = None

    @staticmethod
    def get_metrics() -> MetricsContext:
        """The context of the iterator whose stage asks.

        Raises:
            ValueError: no stage runs in this thread.
        """
        found: MetricsContext | None = getattr(_running, "metrics", None)
        if found is None:
            raise ValueError(
                "Cannot access context outside an iterator: call this in a function that a stage runs."
            )
        return found

    def __iter__(self) -> LocalIterator[T]:
        self._build()
        return self

    def __next__(self) -> T:
        built = self._build()
        before = getattr(_running, "metrics", None)
        _running.metrics = self.shared_metrics.get()
        try:
            return next(built)
        finally:
            _running.metrics = before

    def _build(self) -> Iterator[T]:
        if self.built_iterator is None:
            built: Any = iter(self.base_iterator(self.timeout))
            for transform in self.local_transforms:
                built = transform(built)
            self.built_iterator = iter(built)
        return self.built_iterator

    def __str__(self) -> str:
        return repr(self)

    def __repr__(self) -> str:
        return f"LocalIterator[{self.name}]"

    def _with(self, stage: Callable[[Iterable[Any]], Any], name: str) -> LocalIterator[Any]:
        return LocalIterator(
            self.base_iterator, self.shared_metrics, [*self.local_transforms, stage], name=self.name + name
        )

    # -- stages ----------------------------------------

    def transform(self, fn: Callable[[Iterable[T]], Iterable[Any]]) -> LocalIterator[Any]:
        """Have `fn`, a function of the whole iterator, make a new one."""

        def stage(items: Iterable[Any]) -> Iterator[Any]:
            yield from fn(items)

        return self._with(stage, ".transform()")

    def for_each(
        self, fn: Callable[[T], Any], max_concurrency: int = 1, resources: dict[str, Any] | None = None
    ) -> LocalIterator[Any]:
        """Apply a function to each item.

        Args:
            fn: The function.
            max_concurrency: 1 calls it here. More calls it in so many tasks at once, and 0 in as many as there are items: results then
                come as they are ready.
            resources: Options of those tasks, such as `{"num_cpus": 0.5}`.
        """
        if max_concurrency == 1:

            def stage(items: Iterable[Any]) -> Iterator[Any]:
                for item in items:
                    yield item if isinstance(item, _NextValueNotReady) else fn(item)

        else:
            task = skate.remote(fn) if not resources else skate.remote(**resources)(fn)

            def stage(items: Iterable[Any]) -> Iterator[Any]:
                under_way: list[Any] = []
                for item in items:
                    if isinstance(item, _NextValueNotReady):
                        yield item
                        continue
                    if 0 < max_concurrency <= len(under_way):
                        ready, under_way = skate.wait(under_way)
                        yield from skate.get(ready)
                    under_way.append(task.remote(item))
                while under_way:
                    ready, under_way = skate.wait(under_way)
                    yield from skate.get(ready)

        return self._with(stage, ".for_each()")

    def filter(self, fn: Callable[[T], bool]) -> LocalIterator[T]:
        """Keep the items for which a function is true."""

        def stage(items: Iterable[Any]) -> Iterator[Any]:
            return (item for item in items if isinstance(item, _NextValueNotReady) or fn(item))

        return self._with(stage, ".filter()")

    def batch(self, n: int) -> LocalIterator[list[T]]:
        """Put `n` items at a time into a list; the last may be shorter."""

        def stage(items: Iterable[Any]) -> Iterator[Any]:
            batch = []
            for item in items:
                if isinstance(item, _NextValueNotReady):
                    yield item
                    continue
                batch.append(item)
                if len(batch) >= n:
                    yield batch
                    batch = []
            if batch:
                yield batch

        return self._with(stage, f".batch({n})")

    def flatten(self) -> LocalIterator[Any]:
        """Take the items out of items that are lists."""

        def stage(items: Iterable[Any]) -> Iterator[Any]:
            for item in items:
                if isinstance(item, _NextValueNotReady):
                    yield item
                else:
                    yield from item

        return self._with(stage, ".flatten()")

    def combine(self, fn: Callable[[T], list[Any]]) -> LocalIterator[Any]:
        """Apply a function that returns a list to each item, and take the items out of the lists."""
        combined = self.for_each(fn).flatten()
        combined.name = f"{self.name}.combine()"
        return combined

    def shuffle(self, shuffle_buffer_size: int, seed: int | None = None) -> LocalIterator[T]:
        """Mix items: each is drawn at random from the `shuffle_buffer_size` that come next.

        Raises:
            ValueError: the size is not positive.
        """
        if shuffle_buffer_size <= 0:
            raise ValueError(
                f"shuffle_buffer_size={shuffle_buffer_size}: a positive number of items is needed."
            )
        drawn = random.Random(seed)

        def stage(items: Iterable[Any]) -> Iterator[Any]:
            buffer: list[Any] = []
            for item in items:
                if isinstance(item, _NextValueNotReady):
                    yield item
                    continue
                buffer.append(item)
                if len(buffer) >= shuffle_buffer_size:
                    yield buffer.pop(drawn.randrange(len(buffer)))
            while buffer:
                yield buffer.pop(drawn.randrange(len(buffer)))

        return self._with(stage, f".shuffle(shuffle_buffer_size={shuffle_buffer_size}, seed={seed})")

    def zip_with_source_actor(self) -> LocalIterator[tuple[Any, T]]:
        """Pair each item with the actor that it comes from."""

        def stage(items: Iterable[Any]) -> Iterator[Any]:
            for item in items:
                if isinstance(item, _NextValueNotReady):
                    yield item
                else:
                    yield self.get_metrics().current_actor, item

        return self._with(stage, ".zip_with_source_actor()")

    # -- several iterators ----------------------------------------

    def duplicate(self, n: int) -> list[LocalIterator[T]]:
        """Several iterators over the same items; what one is ahead of the others is kept for them.

        Raises:
            ValueError: fewer than two are asked for.
        """
        if n < 2:
            raise ValueError(f"duplicate({n}): the number of copies must be at least 2.")
        buffers: list[deque[T]] = [deque() for _ in range(n)]

        def copy(number: int, timeout: float | None) -> Iterator[T]:
            while True:
                if not buffers[number]:
                    try:
                        item = next(self)
                    except StopIteration:
                        return
                    if isinstance(item, _NextValueNotReady):
                        yield item
                        continue
                    for buffer in buffers:
                        buffer.append(item)
                yield buffers[number].popleft()

        def maker(number: int) -> Callable[[float | None], Iterator[T]]:
            return lambda timeout: copy(number, timeout)

        return [
            LocalIterator(maker(i), self.shared_metrics, name=f"{self.name}.duplicate[{i}]") for i in range(n)
        ]

    def union(
        self,
        *others: LocalIterator[T],
        deterministic: bool = False,
        round_robin_weights: list[float | str] | None = None,
    ) -> LocalIterator[T]:
        """One iterator over the items of several.

        Args:
            others: The other iterators.
            deterministic: Take an item of each in turn, and wait for it. Otherwise those are passed over that have none ready.
            round_robin_weights: How many items to take of each at its turn; "*" for all that are ready.

        Raises:
            ValueError: one of them is no LocalIterator, or the weights are not as many as the iterators.
        """
        for other in others:
            if not isinstance(other, LocalIterator):
                raise ValueError(f"other must be of type LocalIterator, got {type(other).__name__}.")
        sources = [self, *others]
        weights: list[float | str] = list(round_robin_weights or [1] * len(sources))
        if len(weights) != len(sources):
            raise ValueError(
                f"round_robin_weights must be of length {len(sources)}, one for each iterator; got {len(weights)}."
            )
        shared = SharedMetrics(parents=[source.shared_metrics for source in sources])
        shared.set(shared.get())
        patience = None if deterministic else 0.0
        active = [
            LocalIterator(
                s.base_iterator, s.shared_metrics, s.local_transforms, timeout=patience, name=s.name
            )
            if s.built_iterator is None
            else s
            for s in sources
        ]

        def merged(timeout: float | None) -> Iterator[T]:
            turns = list(zip(weights, (iter(each) for each in active), strict=True))
            began = time.monotonic()
            while turns:
                found = False
                for turn in list(turns):
                    weight, items = turn
                    most = float("inf") if weight == "*" else float(weight)
                    taken = 0
                    while taken < most:
                        try:
                            item = next(items)
                        except StopIteration:
                            turns.remove(turn)
                            break
                        if isinstance(item, _NextValueNotReady):
                            break
                        found = True
                        taken += 1
                        yield item
                        began = time.monotonic()
                if turns and not found:
                    if timeout is not None and time.monotonic() - began >= timeout:
                        yield NOT_READY  # type: ignore[misc]
                        began = time.monotonic()
                    else:
                        time.sleep(0.001)

        name = f"LocalUnion[{', '.join(map(str, sources))}]"
        return LocalIterator(merged, shared, name=name)

    # -- looking ----------------------------------------

    def take(self, n: int) -> list[T]:
        """The first `n` items, or as many as there are."""
        found: list[T] = []
        while len(found) < n:
            try:
                item = next(self)
            except StopIteration:
                break
            if not isinstance(item, _NextValueNotReady):
                found.append(item)
        return found

    def show(self, n: int = 20) -> None:
        """Print the first `n` items."""
        for item in self.take(n):
            print(item)  # noqa: T201 -- what it is for
