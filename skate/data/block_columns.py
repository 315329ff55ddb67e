"""A column of a block, by itself: what aggregations of a program's own compute with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from skate.data import convert

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


class BlockColumnAccessor:
    """Computes on a column, whatever it is in memory.

    Args:
        col: An Arrow column.

    Example:
        >>> import pyarrow as pa
        >>> from skate.data.block import BlockColumnAccessor
        >>> BlockColumnAccessor.for_column(pa.array([1, None, 3])).sum(ignore_nulls=True)
        4
    """

    def __init__(self, col: pa.Array | pa.ChunkedArray) -> None:
        self._column = col

    @staticmethod
    def for_column(col: Any) -> BlockColumnAccessor:
        """An accessor to an Arrow column or a pandas one.

        Raises:
            TypeError: it is neither.
        """
        if isinstance(col, (pa.Array, pa.ChunkedArray)):
            return BlockColumnAccessor(col)
        if type(col).__module__.startswith("pandas"):
            return BlockColumnAccessor(convert.column_from_values(col))
        raise TypeError(f"Expected either a pandas.Series or pyarrow.Array (ChunkedArray), got {type(col)}.")

    def _reduced(self, function: Callable[..., Any], ignore_nulls: bool, as_py: bool, **options: Any) -> Any:
        if pa.types.is_null(self._column.type):
            result = pa.scalar(None)
        else:
            result = function(self._column, skip_nulls=ignore_nulls, **options)
        return result.as_py() if as_py else result

    def count(self, *, ignore_nulls: bool, as_py: bool = True) -> Any:
        """Rows, or those that are not null."""
        result = pc.count(self._column, mode="only_valid" if ignore_nulls else "all")
        return result.as_py() if as_py else result

    def sum(self, *, ignore_nulls: bool, as_py: bool = True) -> Any:
        """The sum; null of nothing, or of nulls that are not ignored."""
        return self._reduced(pc.sum, ignore_nulls, as_py)

    def min(self, *, ignore_nulls: bool, as_py: bool = True) -> Any:
        """The least value."""
        return self._reduced(pc.min, ignore_nulls, as_py)

    def max(self, *, ignore_nulls: bool, as_py: bool = True) -> Any:
        """The greatest value."""
        return self._reduced(pc.max, ignore_nulls, as_py)

    def mean(self, *, ignore_nulls: bool, as_py: bool = True) -> Any:
        """The mean."""
        return self._reduced(pc.mean, ignore_nulls, as_py)

    def quantile(self, *, q: float, ignore_nulls: bool, as_py: bool = True) -> Any:
        """The value that a share of the others is below; between two values, what lies on the line between them.

        Args:
            q: The share, from 0 to 1.
            ignore_nulls: Whether nulls do not count; else a null makes it null.
            as_py: Whether it is a value of Python's, and not of Arrow's.
        """
        result = pc.quantile(self._column, q=q, skip_nulls=ignore_nulls)[0]
        return result.as_py() if as_py else result

    def sum_of_squared_diffs_from_mean(
        self, *, ignore_nulls: bool, mean: Any = None, as_py: bool = True
    ) -> Any:
        """The sum of squared distances from the mean, which may be given."""
        centre = self.mean(ignore_nulls=ignore_nulls) if mean is None else mean
        if centre is None:
            result = pa.scalar(None)
        else:
            distance = pc.subtract(self._column, pa.scalar(float(centre)))
            result = pc.sum(pc.multiply(distance, distance), skip_nulls=ignore_nulls)
        return result.as_py() if as_py else result

    def unique(self) -> Any:
        """The different values, in the order they first appear."""
        return pc.unique(self._column)

    def value_counts(self) -> dict[str, list[Any]] | None:
        """How often there is each value, as `values` and `counts`; None of nothing."""
        found = pc.value_counts(self._column)
        if len(found) == 0:
            return None
        return {"values": found.field("values").to_pylist(), "counts": found.field("counts").to_pylist()}

    def hash(self) -> Any:
        """A number of 64 bits for each row, the same for the same value."""
        import polars

        return polars.from_arrow(pa.table({"c": self._column})).hash_rows().to_arrow()  # type: ignore[union-attr]

    def flatten(self) -> Any:
        """The items of all lists, one after the other."""
        return pc.list_flatten(self._column)

    def dropna(self) -> Any:
        """The values that are not null."""
        return pc.drop_null(self._column)

    def is_composed_of_lists(self) -> bool:
        """Whether the rows are lists."""
        kind = self._column.type
        return bool(
            pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        )

    def to_pylist(self) -> list[Any]:
        """The values as Python has them."""
        return list(self._column.to_pylist())

    def to_numpy(self, zero_copy_only: bool = False) -> np.ndarray[Any, Any]:
        """The values as an array.

        Args:
            zero_copy_only: Whether to refuse where that takes a copy.
        """
        if isinstance(self._column, pa.ChunkedArray):
            return convert.column_to_numpy(self._column)
        return convert.column_to_numpy(pa.chunked_array([self._column]))


__all__ = ["BlockColumnAccessor"]
