"""The part of an actor that a parallel iterator asks for items."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from skate.util.iter._local import LocalIterator
from skate.util.iter_metrics import SharedMetrics


class ParallelIteratorWorker:
    """A base class of actors that are the shards of a `ParallelIterator`, as `from_actors` takes them.

    Args:
        item_generator: The items: an iterable, or a function without arguments that returns one.
        repeat: Whether to begin again at the end, for ever.

    Example:
        >>> import skate
        >>> from skate.util import iter
        >>> @skate.remote(num_cpus=0)
        ... class Numbers(iter.ParallelIteratorWorker):
        ...     def __init__(self, start):
        ...         super().__init__(range(start, start + 2), repeat=False)
        >>> actors = [Numbers.remote(0), Numbers.remote(10)]
        >>> list(iter.from_actors(actors).gather_sync())
        [0, 10, 1, 11]
    """

    def __init__(self, item_generator: Any, repeat: bool) -> None:
        self.item_generator = item_generator
        self.repeat = repeat
        self.local_it: Iterator[Any] | None = None
        self._transforms: list[Callable[[LocalIterator[Any]], LocalIterator[Any]]] = []
        self._slices: dict[int, deque[Any]] | None = None
        """For `par_iter_slice`: by start, the items that belong to it and were met early."""

    def _items(self) -> Iterator[Any]:
        while True:
            made = self.item_generator() if callable(self.item_generator) else self.item_generator
            yield from made
            if not self.repeat:
                return

    def par_iter_init(self, transforms: list[Callable[[LocalIterator[Any]], LocalIterator[Any]]]) -> None:
        """Begin: the items, with these stages applied."""
        items: LocalIterator[Any] = LocalIterator(lambda timeout: self._items(), SharedMetrics())
        for transform in transforms:
            items = transform(items)
            if not isinstance(items, LocalIterator):
                raise ValueError(f"a stage must return a LocalIterator, but one has returned {items!r}.")
        self._slices = None
        self.local_it = iter(items)

    def par_iter_next(self) -> Any:
        """The next item.

        Raises:
            StopIteration: there are no more.
        """
        return next(self._begun())

    def par_iter_next_batch(self, batch_ms: int) -> list[Any]:
        """The items that can be had in so many milliseconds, and at least one.

        Raises:
            StopIteration: there are no more.
        """
        return self._batch(lambda: next(self._begun()), batch_ms)

    def par_iter_slice(self, step: int, start: int) -> Any:
        """The next of the items whose place is `start` plus a multiple of `step`.

        Raises:
            StopIteration: there are no more.
        """
        if self._slices is None:
            self._slices = {number: deque() for number in range(step)}
        while not self._slices[start]:
            for number in range(step):
                try:
                    self._slices[number].append(next(self._begun()))
                except StopIteration:
                    if not self._slices[start]:
                        raise
                    break
        return self._slices[start].popleft()

    def par_iter_slice_batch(self, step: int, start: int, batch_ms: int) -> list[Any]:
        """As `par_iter_slice`: what can be had in so many milliseconds, and at least one.

        Raises:
            StopIteration: there are no more.
        """
        return self._batch(lambda: self.par_iter_slice(step, start), batch_ms)

    @staticmethod
    def _batch(take: Callable[[], Any], batch_ms: int) -> list[Any]:
        found = [take()]
        deadline = time.monotonic() + batch_ms / 1000
        while time.monotonic() < deadline:
            try:
                found.append(take())
            except StopIteration:
                break  # the next call says so
        return found

    def _begun(self) -> Iterator[Any]:
        if self.local_it is None:
            raise RuntimeError("par_iter_init() must be called before items are asked for.")
        return self.local_it
