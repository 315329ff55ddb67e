"""Single rows by key: `Dataset.to_random_access_dataset`."""

from __future__ import annotations

import bisect
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import skate
from skate.data import convert

if TYPE_CHECKING:
    from skate.data.dataset import Dataset


class RandomAccessDataset:
    """Rows of a dataset by the value of a column: in order of it, held by actors, found by halving.

    Args:
        ds: The dataset.
        key: The column; of rows with the same value one is found.
        num_workers: How many actors hold the rows.

    Raises:
        ValueError: there is no such column, or nothing to hold.
    """

    def __init__(self, ds: Dataset, key: str, num_workers: int) -> None:
        schema = ds.schema()
        if schema is None:
            raise ValueError("RandomAccessDataset: the dataset has no columns, so there is nothing to find.")
        if num_workers < 1:
            raise ValueError(f"RandomAccessDataset: num_workers={num_workers} must be at least 1.")
        started = time.perf_counter()
        bundles = [bundle for bundle in ds.sort(key)._execute(whole=True) if bundle.rows]
        columns = [bundle.table.column(key) for bundle in bundles]
        self._first = columns[0][0].as_py() if columns else None
        self._last = [column[len(column) - 1].as_py() for column in columns]
        factory = skate.remote(_Holder).options(num_cpus=0)
        self._workers = [factory.remote(key) for _ in range(num_workers)]
        self._owners = [self._workers[place % num_workers] for place in range(len(bundles))]
        held: dict[int, dict[int, Any]] = defaultdict(dict)
        for place, bundle in enumerate(bundles):
            held[place % num_workers][place] = bundle.ref
        skate.get(
            [
                self._workers[worker].hold.remote(list(blocks), *blocks.values())
                for worker, blocks in held.items()
            ]
        )
        self._build_time = time.perf_counter() - started

    def _block_of(self, key: Any) -> int | None:
        place = bisect.bisect_left(self._last, key)
        return None if place >= len(self._last) or key < self._first else place

    def get_async(self, key: Any) -> Any:
        """A ref to the row with this key, as a dict; to None if there is none."""
        place = self._block_of(key)
        if place is None:
            return skate.put(None)
        return self._owners[place].find.remote(place, key)

    def multiget(self, keys: list[Any]) -> list[dict[str, Any] | None]:
        """The rows with these keys, None for those that are not there."""
        wanted: dict[int, list[int]] = defaultdict(list)
        for number, key in enumerate(keys):
            place = self._block_of(key)
            if place is not None:
                wanted[place].append(number)
        found: list[dict[str, Any] | None] = [None] * len(keys)
        calls = [
            self._owners[place].find_all.remote(place, [keys[number] for number in numbers])
            for place, numbers in wanted.items()
        ]
        for numbers, rows in zip(wanted.values(), skate.get(calls), strict=True):
            for number, row in zip(numbers, rows, strict=True):
                found[number] = row
        return found

    def stats(self) -> str:
        """How many rows were asked for, and how long that took."""
        stats = skate.get([worker.stats.remote() for worker in self._workers])
        blocks, accesses, seconds = ([stat[place] for stat in stats] for place in range(3))
        return (
            "RandomAccessDataset:\n"
            f"- Build time: {round(self._build_time, 2)}s\n"
            f"- Num workers: {len(stats)}\n"
            f"- Blocks per worker: {min(blocks)} min, {max(blocks)} max, {sum(blocks) // len(blocks)} mean\n"
            f"- Accesses per worker: {min(accesses)} min, {max(accesses)} max, {sum(accesses) // len(accesses)} mean\n"
            f"- Mean access time: {int(sum(seconds) / (1 + sum(accesses)) * 1e6)}us\n"
        )


class _Holder:
    """Holds some of the blocks."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._blocks: dict[int, tuple[Any, Any]] = {}
        self._seconds = 0.0
        self._count = 0

    def hold(self, places: list[int], *tables: Any) -> None:
        """Take blocks."""
        for place, table in zip(places, tables, strict=True):
            self._blocks[place] = table, table.column(self._key).combine_chunks()

    def find(self, place: int, key: Any) -> dict[str, Any] | None:
        """The row of a block with this key."""
        return self.find_all(place, [key])[0]

    def find_all(self, place: int, keys: list[Any]) -> list[dict[str, Any] | None]:
        """The rows of a block with these keys."""
        started = time.perf_counter()
        table, column = self._blocks[place]
        rows: list[dict[str, Any] | None] = []
        for key in keys:
            at = bisect.bisect_left(_Values(column), key)
            there = at < len(column) and column[at].as_py() == key
            rows.append(next(iter(convert.iter_rows(table.slice(at, 1)))) if there else None)
        self._count += len(keys)
        self._seconds += time.perf_counter() - started
        return rows

    def stats(self) -> tuple[int, int, float]:
        """Blocks held, rows asked for, seconds spent."""
        return len(self._blocks), self._count, self._seconds


class _Values:
    """A column as a sequence of Python values."""

    def __init__(self, column: Any) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, place: int) -> Any:
        return self._column[place].as_py()


__all__ = ["RandomAccessDataset"]
