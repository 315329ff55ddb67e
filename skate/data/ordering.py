"""By which columns rows are put in order, and blocks that are put in order one by one."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence


class SortKey:
    """The columns to sort by.

    Args:
        key: A column or several.
        descending: Whether the greatest comes first: for all columns, or for each.
        boundaries: Values of the first column to cut at.

    Raises:
        ValueError: `descending` has another length than `key`, or the columns are no names.
    """

    def __init__(
        self,
        key: str | list[str] | None = None,
        descending: bool | list[bool] = False,
        boundaries: list[Any] | None = None,
    ) -> None:
        columns = [] if key is None else [key] if isinstance(key, str) else list(key)
        if any(not isinstance(name, str) for name in columns):
            raise ValueError(f"Key must be a string or a list of strings, but got {key!r}.")
        if isinstance(descending, bool):
            descending = [descending] * len(columns)
        if len(descending) != len(columns):
            raise ValueError(
                f"descending={descending} has {len(descending)} items for the {len(columns)} columns {columns}."
            )
        self._columns, self._descending = columns, list(descending)
        self.boundaries = list(boundaries or [])

    def get_columns(self) -> list[str]:
        """The columns."""
        return self._columns

    def get_descending(self) -> list[bool]:
        """For each column, whether the greatest comes first."""
        return self._descending

    def to_arrow_sort_args(self) -> list[tuple[str, str]]:
        """The same as Arrow takes it."""
        return [
            (name, "descending" if down else "ascending")
            for name, down in zip(self._columns, self._descending, strict=True)
        ]

    def to_pandas_sort_args(self) -> tuple[list[str], list[bool]]:
        """The same as pandas takes it."""
        return self._columns, [not down for down in self._descending]

    def validate_schema(self, schema: pa.Schema | None) -> None:
        """Check that there are such columns.

        Raises:
            ValueError: there are not.
        """
        if schema is None:
            return
        if schema.names and not self._columns:
            raise ValueError("SortKey must have at least one column to sort by.")
        for name in self._columns:
            if name not in schema.names:
                raise ValueError(
                    f"You specified the column '{name}', but there's no such column: {schema.names}."
                )


def sort_table(table: pa.Table, key: SortKey) -> pa.Table:
    """The rows in order; nulls last."""
    return table.sort_by(key.to_arrow_sort_args()) if table.num_rows else table


def sample_keys(table: pa.Table, count: int, key: SortKey) -> pa.Table:
    """The columns of the key, of some rows at random."""
    if not table.num_rows:
        return table
    rows = np.random.default_rng().choice(table.num_rows, min(count, table.num_rows), replace=False)
    return table.select(key.get_columns()).take(pa.array(rows))


def partition_sorted(table: pa.Table, boundaries: Sequence[Any], key: SortKey) -> list[pa.Table]:
    """Rows in order, cut at boundaries: the part before the first, those between two, the part after the last.

    Args:
        table: The rows, in order.
        boundaries: A tuple of values of the key for each cut, in order.
        key: What they are in order of.
    """
    if not table.num_rows:
        return [table] * (len(boundaries) + 1)
    rows = list(zip(*(table.column(name).to_pylist() for name in key.get_columns()), strict=True))
    down = key.get_descending()
    cuts = [0]
    for boundary in boundaries:
        wanted = boundary if isinstance(boundary, (tuple, list)) else (boundary,)
        low, high = cuts[-1], len(rows)
        while low < high:
            middle = (low + high) // 2
            if _before(rows[middle], wanted, down):
                low = middle + 1
            else:
                high = middle
        cuts.append(low)
    cuts.append(len(rows))
    return [table.slice(start, stop - start) for start, stop in itertools.pairwise(cuts)]


def _before(row: Sequence[Any], boundary: Sequence[Any], descending: Sequence[bool]) -> bool:
    """Whether a row belongs before a boundary: its equals do in descending order; nulls come last."""
    for value, edge, down in zip(row, boundary, descending, strict=True):
        if value == edge:
            continue
        if value is None or edge is None:
            return edge is None
        return bool(value > edge if down else value < edge)
    return bool(descending[0])


__all__ = ["SortKey", "partition_sorted", "sample_keys", "sort_table"]
