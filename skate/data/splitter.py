"""`streaming_split`: iterators in several processes that share the rows of one run."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import skate
from skate.data.execution.bundle import Bundle
from skate.data.iteration import Position
from skate.data.iterator import DataIterator

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from skate.data.context import DataContext
    from skate.data.dataset import Dataset, Schema

_INLINE_BYTES = (
    64 << 10
)  # blocks up to this size travel with the answer, larger ones through the object store


class Rounds:
    """Deals the blocks of each run out to readers. A run begins when all readers have asked for it.

    Args:
        dataset: What to run.
        readers: How many readers there are.
        equal: Whether all must get the same number of rows.
    """

    def __init__(self, dataset: Dataset, readers: int, equal: bool) -> None:
        self._dataset, self._readers, self._equal = dataset, readers, equal
        self._changed = threading.Condition()
        self._round = -1
        self._asked: dict[int, int] = {}
        self._place: tuple[int, int] | None = None
        self._run = Position()
        self._stream: Iterator[Bundle] | None = None
        self._queues: list[deque[Bundle]] = [deque() for _ in range(readers)]
        self._rows = [0] * readers
        self._error: BaseException | None = None

    def begin(self, reader: int, place: tuple[int, int] | None) -> tuple[int, int, int]:
        """Wait until all readers have come to their next run.

        Args:
            reader: Who asks.
            place: The epoch and the seed to go on with; None for the next.

        Returns:
            The number of the round, and its epoch and seed.
        """
        with self._changed:
            wanted = self._asked.get(reader, -1) + 1
            self._asked[reader] = wanted
            if place is not None:
                self._place = place
            if len(self._asked) == self._readers and min(self._asked.values()) == wanted:
                self._start(wanted)
            while self._round < wanted:
                self._changed.wait()
            return wanted, self._run.epoch, self._run.begin()

    def _start(self, number: int) -> None:
        if self._place is not None:
            self._run = Position(self._place[0], 0, self._place[1])
        elif number:
            self._run.end()
        self._place = None
        self._round, self._error = number, None
        self._queues = [deque() for _ in range(self._readers)]
        self._rows = [0] * self._readers
        stream = self._dataset._execute(epoch=self._run.epoch, seed=self._run.begin())
        self._stream = _equalised(stream, self._readers) if self._equal else stream
        self._changed.notify_all()

    def take(self, reader: int, number: int) -> Any:
        """The reader's next block of a round, or a ref to it in a list; None at its end."""
        with self._changed:
            while True:
                if number != self._round:
                    raise RuntimeError(
                        f"streaming_split: reader {reader} asks for run {number}, and run {self._round} is under way: "
                        "each iterator must be read to its end before the next loop."
                    )
                if self._error is not None:
                    raise self._error
                if self._queues[reader]:
                    bundle = self._queues[reader].popleft()
                    return bundle.table if bundle.size_bytes <= _INLINE_BYTES else [bundle.ref]
                if self._stream is None:
                    return None
                self._deal(reader)

    def _deal(self, reader: int) -> None:
        try:
            bundle = next(self._stream, None) if self._stream is not None else None
        except BaseException as error:
            self._error, self._stream = error, None
            raise
        if bundle is None:
            self._stream = None
            return
        to = min(range(self._readers), key=lambda r: (self._rows[r], r)) if self._equal else reader
        if to != reader and bundle.size_bytes > _INLINE_BYTES:
            bundle = bundle.stored()  # it may wait for long: the object store can move it to disk
        self._rows[to] += bundle.rows
        self._queues[to].append(bundle)

    def schema(self) -> Schema | None:
        """The dataset's schema."""
        return self._dataset.schema()

    def stats(self) -> str:
        """What the last run did."""
        return self._dataset.stats()


def _equalised(stream: Iterator[Bundle], readers: int) -> Iterator[Bundle]:
    """Blocks cut so that readers who get one in turn get the same number of rows; what is left over is dropped."""
    held: list[pa.Table] = []
    rows = 0
    from skate.data import convert

    for bundle in stream:
        held.append(bundle.table)
        rows += bundle.rows
        size = rows // readers
        if size == 0:
            continue
        whole = convert.concat(held)
        for index in range(readers):
            yield Bundle(whole.slice(index * size, size))
        held = [whole.slice(size * readers)]
        rows = held[0].num_rows


class SplitIterator(DataIterator):
    """One of the iterators that `streaming_split` gives. It can be sent to another process.

    Args:
        rounds: The actor that deals out blocks.
        reader: Which of the readers it is.
        readers: How many there are.
        equal: Whether all get the same number of rows.
        context: The dataset's settings.
    """

    def __init__(self, rounds: Any, reader: int, readers: int, equal: bool, context: DataContext) -> None:
        self._rounds, self._reader, self._readers, self._equal = rounds, reader, readers, equal
        self._context = context
        self._position = Position()
        self._place: tuple[int, int] | None = None

    def _tables(self, position: Position) -> Iterator[pa.Table]:
        number, position.epoch, position.seed = skate.get(
            self._rounds.begin.remote(self._reader, self._place)
        )
        self._place = None
        return self._taken(number)

    def _taken(self, number: int) -> Iterator[pa.Table]:
        waiting = self._rounds.take.remote(self._reader, number)
        while True:
            found = skate.get(waiting)
            if found is None:
                return
            waiting = self._rounds.take.remote(self._reader, number)
            yield skate.get(found[0]) if isinstance(found, list) else found

    def state_dict(self) -> dict[str, Any]:
        """How far it has come: see `DataIterator.state_dict`. All readers go on together, each from its own state.

        Raises:
            ValueError: the split is not equal: which blocks a reader gets depends on who asks first.
        """
        if not self._equal:
            raise ValueError(
                "state_dict: a reader of a split that is not equal gets the blocks for which it is the first to ask, so it could "
                "not go on where it was: use streaming_split(n, equal=True)."
            )
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next loop go on where this reader was: see `DataIterator.load_state_dict`."""
        super().load_state_dict(state_dict)
        if self._position.seed is not None:
            self._place = (self._position.epoch, self._position.seed)

    def schema(self) -> Schema | None:
        """Names and types of the columns."""
        found: Schema | None = skate.get(self._rounds.schema.remote())
        return found

    def stats(self) -> str:
        """What the last run did."""
        return str(skate.get(self._rounds.stats.remote()))

    def get_context(self) -> DataContext:
        """The settings."""
        return self._context

    def world_size(self) -> int:
        """How many iterators share the run."""
        return self._readers

    def __repr__(self) -> str:
        return f"SplitIterator(reader {self._reader} of {self._readers})"


def make_iterators(dataset: Dataset, readers: int, equal: bool) -> list[SplitIterator]:
    """Iterators over the dataset for so many readers.

    Raises:
        ValueError: the number is not positive.
    """
    if readers < 1:
        raise ValueError(f"streaming_split: n={readers} must be at least 1.")
    actor = skate.remote(Rounds).options(num_cpus=0, max_concurrency=2 * readers + 2)
    rounds = actor.remote(dataset, readers, equal)
    return [SplitIterator(rounds, reader, readers, equal, dataset.context) for reader in range(readers)]


__all__ = ["Rounds", "SplitIterator", "make_iterators"]
