"""`streaming_split`: iterators in several processes that share the rows of one run."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import skate
from skate.data.execution.bundle import Bundle, compact
from skate.data.iterator import DataIterator

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from skate.data.dataset import Dataset, Schema


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
        self._epoch = -1
        self._asked: dict[int, int] = {}
        self._stream: Iterator[Bundle] | None = None
        self._queues: list[deque[pa.Table]] = [deque() for _ in range(readers)]
        self._rows = [0] * readers
        self._error: BaseException | None = None

    def begin(self, reader: int) -> int:
        """Wait until all readers have come to their next run; returns its number."""
        with self._changed:
            wanted = self._asked.get(reader, -1) + 1
            self._asked[reader] = wanted
            if len(self._asked) == self._readers and min(self._asked.values()) == wanted:
                self._start(wanted)
            while self._epoch < wanted:
                self._changed.wait()
            return wanted

    def _start(self, epoch: int) -> None:
        self._epoch, self._error = epoch, None
        self._queues = [deque() for _ in range(self._readers)]
        self._rows = [0] * self._readers
        stream = self._dataset._execute()
        self._stream = _equalised(stream, self._readers) if self._equal else stream
        self._changed.notify_all()

    def take(self, reader: int, epoch: int) -> pa.Table | None:
        """The reader's next block of a run; None at its end."""
        with self._changed:
            while True:
                if epoch != self._epoch:
                    raise RuntimeError(
                        f"streaming_split: reader {reader} asks for run {epoch}, and run {self._epoch} is under way: "
                        "each iterator must be read to its end before the next loop."
                    )
                if self._error is not None:
                    raise self._error
                if self._queues[reader]:
                    return self._queues[reader].popleft()
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
        self._rows[to] += bundle.rows
        self._queues[to].append(compact(bundle.table))

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
    """

    def __init__(self, rounds: Any, reader: int) -> None:
        self._rounds, self._reader = rounds, reader

    def _tables(self) -> Iterator[pa.Table]:
        epoch = skate.get(self._rounds.begin.remote(self._reader))
        waiting = self._rounds.take.remote(self._reader, epoch)
        while True:
            table = skate.get(waiting)
            if table is None:
                return
            waiting = self._rounds.take.remote(self._reader, epoch)
            yield table

    def schema(self) -> Schema | None:
        """Names and types of the columns."""
        found: Schema | None = skate.get(self._rounds.schema.remote())
        return found

    def stats(self) -> str:
        """What the last run did."""
        return str(skate.get(self._rounds.stats.remote()))


def make_iterators(dataset: Dataset, readers: int, equal: bool) -> list[SplitIterator]:
    """Iterators over the dataset for so many readers.

    Raises:
        ValueError: the number is not positive.
    """
    if readers < 1:
        raise ValueError(f"streaming_split: n={readers} must be at least 1.")
    actor = skate.remote(Rounds).options(num_cpus=0, max_concurrency=2 * readers + 2)
    rounds = actor.remote(dataset, readers, equal)
    return [SplitIterator(rounds, reader) for reader in range(readers)]


__all__ = ["Rounds", "SplitIterator", "make_iterators"]
