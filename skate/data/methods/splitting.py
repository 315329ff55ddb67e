"""Methods of `Dataset` that divide it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from skate.data import convert
from skate.data.execution.bundle import Bundle
from skate.data.methods.base import DatasetBase
from skate.data.plan import logical as lg

if TYPE_CHECKING:
    from skate.data.dataset import Dataset, MaterializedDataset
    from skate.data.iterator import DataIterator


class SplittingMethods(DatasetBase):
    """One dataset as several."""

    def _parts(self, edges: list[int], bundles: list[Bundle]) -> list[MaterializedDataset]:
        """Datasets of the rows between each two of these places."""
        from skate.data.dataset import MaterializedDataset

        empty = [b for b in bundles if b.schema is not None and len(b.schema)][:1]
        parts = []
        for start, end in itertools.pairwise(edges):
            taken: list[Bundle] = []
            first = 0
            for bundle in bundles:
                low, high = max(start, first), min(end, first + bundle.rows)
                if high > low:
                    taken.append(bundle.slice(low - first, high - low))
                first += bundle.rows
            if not taken and empty:
                taken = [Bundle(empty[0].table.slice(0, 0))]
            parts.append(MaterializedDataset(lg.InputData((), tuple(taken)), self._context, None))
        return parts

    def split(
        self, n: int, *, equal: bool = False, locality_hints: list[Any] | None = None
    ) -> list[MaterializedDataset]:
        """Several datasets of about one size.

        Args:
            n: How many.
            equal: Whether all must have the same number of rows; rows that are left over are dropped.
            locality_hints: Accepted for Ray's programs: one for each of the datasets.

        Raises:
            ValueError: `n` is not positive, or there are not `n` hints.
        """
        if n <= 0:
            raise ValueError(f"The number of splits {n} is not positive.")
        if locality_hints is not None and len(locality_hints) != n:
            raise ValueError(
                f"The length of locality_hints {len(locality_hints)} doesn't equal the number of splits {n}."
            )
        bundles = list(self._execute(whole=True))
        total = sum(bundle.rows for bundle in bundles)
        if equal:
            size = total // n
            return self._parts([size * index for index in range(n + 1)], bundles)
        if len(bundles) >= n:  # whole blocks, as even as they are
            groups = np.array_split(np.arange(len(bundles)), n)
            edges = [0]
            for group in groups:
                edges.append(edges[-1] + sum(bundles[int(i)].rows for i in group))
            return self._parts(edges, bundles)
        size, more = divmod(total, n)
        edges = list(itertools.accumulate([0] + [size + (index < more) for index in range(n)]))
        return self._parts(edges, bundles)

    def split_at_indices(self, indices: list[int]) -> list[MaterializedDataset]:
        """Datasets of the rows before, between and after these places.

        Args:
            indices: The places, in order.

        Raises:
            ValueError: there are none, or they are not in order, or negative.
        """
        if len(indices) < 1:
            raise ValueError("indices must be at least of length 1")
        if sorted(indices) != list(indices):
            raise ValueError("indices must be sorted")
        if indices[0] < 0:
            raise ValueError("indices must be positive")
        bundles = list(self._execute(whole=True))
        total = sum(bundle.rows for bundle in bundles)
        return self._parts([0, *(min(index, total) for index in indices), total], bundles)

    def split_proportionately(self, proportions: list[float]) -> list[MaterializedDataset]:
        """Datasets of these parts of the rows, and one of the rest.

        Args:
            proportions: The parts, positive and together less than 1.

        Raises:
            ValueError: they are not, or leave a dataset without a row.
        """
        if len(proportions) < 1:
            raise ValueError("proportions must be at least of length 1")
        if sum(proportions) >= 1:
            raise ValueError("proportions must sum to less than 1")
        if any(part <= 0 for part in proportions):
            raise ValueError("proportions must be bigger than 0")
        total = self.count()  # type: ignore[attr-defined]
        places = [int(total * part + 1e-6) for part in np.cumsum(proportions)]  # 0.7999… of 10 rows are 8
        # Every part gets at least a row, the later ones at the cost of those before.
        for index in range(len(places) - 1, -1, -1):
            left = total - (len(places) - index)
            places[index] = min(places[index], left)
        if places[0] <= 0:
            raise ValueError("Couldn't create non-empty splits with the given proportions.")
        return self.split_at_indices(places)

    def train_test_split(
        self,
        test_size: float,
        *,
        shuffle: bool = False,
        seed: int | None = None,
        stratify: str | None = None,
    ) -> tuple[MaterializedDataset, MaterializedDataset]:
        """A dataset to train on and one to test with.

        Args:
            test_size: The part for the test, or its number of rows.
            shuffle: Whether the rows are put in random order before.
            seed: Makes that order the same each time.
            stratify: A column whose values are to be equally frequent in both.

        Raises:
            ValueError: the size is out of range, the column is missing, or both `shuffle` and `stratify` are given.
            TypeError: the size is no number.
        """
        dataset: Any = self
        if shuffle and stratify is not None:
            raise ValueError(
                "Cannot specify both 'shuffle=True' and 'stratify' parameters: to keep the classes' shares, rows are taken by class."
            )
        if isinstance(test_size, bool) or not isinstance(test_size, (int, float)):
            raise TypeError(f"`test_size` must be int or float got {type(test_size)}.")
        if stratify is not None and stratify not in (known := dataset.columns() or []):
            raise ValueError(
                f"You specified the column '{stratify}', but there's no such column in the dataset. The dataset has columns: {known}"
            )
        if shuffle:
            dataset = dataset.random_shuffle(seed=seed)
        if isinstance(test_size, float):
            if not 0 < test_size < 1:
                raise ValueError(
                    f"If `test_size` is a float, it must be bigger than 0 and smaller than 1. Got {test_size}."
                )
            if stratify is not None:
                return _stratified(dataset, test_size, stratify)
            train, test = dataset.split_proportionately([1 - test_size])
            return train, test
        total = dataset.count()
        if test_size <= 0 or test_size >= total:
            raise ValueError(
                "If `test_size` is an int, it must be bigger than 0 and smaller than the size of the dataset "
                f"({total}). Got {test_size}."
            )
        if stratify is not None:
            return _stratified(dataset, test_size / total, stratify)
        train, test = dataset.split_at_indices([total - test_size])
        return train, test

    def streaming_train_test_split(
        self,
        test_size: float,
        *,
        split_type: Literal["hash", "random"] = "random",
        hash_column: str | None = None,
        seed: int | None = None,
        **ray_remote_kwargs: Any,
    ) -> tuple[Dataset, Dataset]:
        """The same without running it: each row is in one of the two by chance, or by the hash of a column.

        Args:
            test_size: The part for the test.
            split_type: `"random"` or `"hash"`.
            hash_column: The column to hash.
            seed: Makes the choice the same each time.
            ray_remote_kwargs: Options of the tasks.

        Raises:
            ValueError: the arguments contradict each other, or the size is out of range.
        """
        if not 0 < test_size < 1:
            raise ValueError("test_size must be between 0 and 1.")
        if split_type == "hash" and hash_column is None:
            raise ValueError("hash_column is required for hash split")
        if split_type == "hash" and seed is not None:
            raise ValueError("seed is not supported for hash split")
        if split_type == "random" and hash_column is not None:
            raise ValueError("hash_column is not supported for random split")
        if split_type not in ("hash", "random"):
            raise ValueError(f"Invalid split type: {split_type}")
        chosen = int(np.random.default_rng(seed).integers(1 << 31))
        dataset: Any = self
        parts = [
            dataset.map_batches(
                _Side(test_size, hash_column, chosen, test), batch_format="pyarrow", **ray_remote_kwargs
            )
            for test in (False, True)
        ]
        return parts[0], parts[1]

    def streaming_split(
        self, n: int, *, equal: bool = False, locality_hints: list[Any] | None = None
    ) -> list[DataIterator]:
        """Iterators that share the rows of one run, for as many readers at the same time.

        Args:
            n: How many.
            equal: Whether all must get the same number of rows; rows that are left over are dropped.
            locality_hints: Accepted for Ray's programs.
        """
        from skate.data.splitter import make_iterators

        return list(make_iterators(self, n, equal))  # type: ignore[arg-type]


class _Side:
    """The rows of one of the two parts: the same rows of the same block go to the same part each time."""

    def __init__(self, test_size: float, column: str | None, seed: int, test: bool) -> None:
        self._size, self._column, self._seed, self._test = test_size, column, seed, test

    def __call__(self, table: pa.Table) -> pa.Table:
        import polars as pl

        if self._column is not None:
            keys = pl.from_arrow(table.select([self._column]))
            hashes = keys.hash_rows(seed=1).to_numpy()  # type: ignore[union-attr]
        else:
            frame = pl.from_arrow(table)
            base = int(frame.hash_rows(seed=5).sum() or 0) if table.num_rows else 0  # type: ignore[union-attr]
            rng = np.random.default_rng([self._seed, base & 0x7FFFFFFF])
            hashes = rng.integers(0, 1 << 63, table.num_rows, dtype=np.uint64) * np.uint64(2)
        in_test = hashes < np.uint64(int(self._size * 2**64) - 1)
        return table.filter(pa.array(in_test if self._test else ~in_test))


def _stratified(dataset: Any, part: float, column: str) -> tuple[Any, Any]:
    from skate.data.dataset import MaterializedDataset

    table = convert.concat(bundle.table for bundle in dataset._execute(whole=True))
    values = table.column(column).to_pylist()
    places: dict[Any, list[int]] = {}
    for place, value in enumerate(values):
        places.setdefault(value, []).append(place)
    test = sorted(p for group in places.values() for p in group[len(group) - round(len(group) * part) :])
    mask = np.zeros(table.num_rows, dtype=bool)
    mask[test] = True
    halves = [
        MaterializedDataset(lg.InputData((), (Bundle(table.filter(pa.array(m))),)), dataset._context, None)
        for m in (~mask, mask)
    ]
    return halves[0], halves[1]


__all__ = ["SplittingMethods"]
