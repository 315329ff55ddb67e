"""Aggregations to one number: counts, sums, extremes, means, deviations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from skate.data.aggregates.base import (
    AggregateFnV2,
    VectorizedAggregateFnV2,
    label,
    null_unless,
    number_kind,
    widened,
)
from skate.data.block import Block, BlockAccessor

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl


class Count(AggregateFnV2[int, int]):
    """How many rows there are, or values that are not null.

    Args:
        on: The column; None counts rows.
        ignore_nulls: Whether nulls are left out.
        alias_name: The column of the result; default `count(on)`.
    """

    def __init__(
        self, on: str | None = None, ignore_nulls: bool = False, alias_name: str | None = None
    ) -> None:
        super().__init__(label("count", on, alias_name), lambda: 0, on=on, ignore_nulls=ignore_nulls)

    def aggregate_block(self, block: Block) -> int:
        """Rows of a block."""
        accessor = BlockAccessor.for_block(block)
        if self._target_col_name is None:
            return accessor.num_rows()
        return accessor.count(self._target_col_name, self._ignore_nulls)

    def combine(self, current_accumulator: int, new: int) -> int:
        """The sum."""
        return current_accumulator + new

    def _native(self, schema: pa.Schema) -> pl.Expr | None:
        import polars as pl

        if self._target_col_name is None or not self._ignore_nulls:
            return pl.len().cast(pl.Int64)
        return pl.col(self._target_col_name).count().cast(pl.Int64)


class _Scalar(VectorizedAggregateFnV2[Any, Any]):
    """An aggregation of one column whose accumulator is a value."""

    function = ""

    def __init__(
        self, on: str | None, ignore_nulls: bool, alias_name: str | None, zero: Callable[[], Any]
    ) -> None:
        super().__init__(label(self.function, on, alias_name), zero, on=on, ignore_nulls=ignore_nulls)


class Sum(_Scalar):
    """The sum; of nothing it is null.

    Args:
        on: The column.
        ignore_nulls: Whether nulls are left out.
        alias_name: The column of the result; default `sum(on)`.
    """

    function = "sum"

    def __init__(
        self, on: str | None = None, ignore_nulls: bool = True, alias_name: str | None = None
    ) -> None:
        super().__init__(on, ignore_nulls, alias_name, lambda: 0)

    def aggregate_block(self, block: Block) -> Any:
        """The sum of a block."""
        return BlockAccessor.for_block(block).sum(str(self._target_col_name), self._ignore_nulls)

    def combine(self, current_accumulator: Any, new: Any) -> Any:
        """The sum."""
        return current_accumulator + new

    def _native(self, schema: pa.Schema) -> pl.Expr | None:
        import polars as pl

        kind = number_kind("sum", self._target_col_name, schema)
        column = pl.col(str(self._target_col_name))
        total = widened(column, kind).sum()
        if pa.types.is_floating(kind):
            total = total.fill_nan(None)
        return null_unless(column, total, self._ignore_nulls)


class Min(_Scalar):
    """The least value, NaN apart.

    Args:
        on: The column.
        ignore_nulls: Whether nulls are left out.
        alias_name: The column of the result; default `min(on)`.
        zero_factory: Gives the value to start with.
    """

    function = "min"

    def __init__(
        self,
        on: str | None = None,
        ignore_nulls: bool = True,
        alias_name: str | None = None,
        zero_factory: Callable[[], Any] = lambda: float("+inf"),
    ) -> None:
        super().__init__(on, ignore_nulls, alias_name, zero_factory)

    def aggregate_block(self, block: Block) -> Any:
        """The least value of a block."""
        return BlockAccessor.for_block(block).min(str(self._target_col_name), self._ignore_nulls)

    def combine(self, current_accumulator: Any, new: Any) -> Any:
        """The lesser."""
        return min(current_accumulator, new)

    def _native(self, schema: pa.Schema) -> pl.Expr | None:
        import polars as pl

        column = pl.col(str(self._target_col_name))
        return null_unless(column, column.min(), self._ignore_nulls)


class Max(_Scalar):
    """The greatest value, NaN apart.

    Args:
        on: The column.
        ignore_nulls: Whether nulls are left out.
        alias_name: The column of the result; default `max(on)`.
        zero_factory: Gives the value to start with.
    """

    function = "max"

    def __init__(
        self,
        on: str | None = None,
        ignore_nulls: bool = True,
        alias_name: str | None = None,
        zero_factory: Callable[[], Any] = lambda: float("-inf"),
    ) -> None:
        super().__init__(on, ignore_nulls, alias_name, zero_factory)

    def aggregate_block(self, block: Block) -> Any:
        """The greatest value of a block."""
        return BlockAccessor.for_block(block).max(str(self._target_col_name), self._ignore_nulls)

    def combine(self, current_accumulator: Any, new: Any) -> Any:
        """The greater."""
        return max(current_accumulator, new)

    def _native(self, schema: pa.Schema) -> pl.Expr | None:
        import polars as pl

        column = pl.col(str(self._target_col_name))
        return null_unless(column, column.max(), self._ignore_nulls)


class AbsMax(_Scalar):
    """The greatest absolute value.

    Args:
        on: The column.
        ignore_nulls: Whether nulls are left out.
        alias_name: The column of the result; default `abs_max(on)`.
        zero_factory: Gives the value to start with.
    """

    function = "abs_max"

    def __init__(
        self,
        on: str | None = None,
        ignore_nulls: bool = True,
        alias_name: str | None = None,
        zero_factory: Callable[[], Any] = lambda: 0,
    ) -> None:
        if on is None or not isinstance(on, str):
            raise ValueError(f"Column to aggregate on has to be provided (got {on})")
        super().__init__(on, ignore_nulls, alias_name, zero_factory)

    def aggregate_block(self, block: Block) -> Any:
        """The greatest absolute value of a block."""
        accessor = BlockAccessor.for_block(block)
        ends = [f(str(self._target_col_name), self._ignore_nulls) for f in (accessor.min, accessor.max)]
        return None if None in ends else max(abs(end) for end in ends)

    def combine(self, current_accumulator: Any, new: Any) -> Any:
        """The greater."""
        return max(current_accumulator, new)

    def _native(self, schema: pa.Schema) -> pl.Expr | None:
        import polars as pl

        number_kind("abs", self._target_col_name, schema)
        column = pl.col(str(self._target_col_name))
        return null_unless(column, column.abs().max(), self._ignore_nulls)


class Mean(AggregateFnV2[list[Any], float]):
    """The mean; of nothing it is null.

    Args:
        on: The column.
        ignore_nulls: Whether nulls are left out.
        alias_name: The column of the result; default `mean(on)`.
    """

    def __init__(
        self, on: str | None = None, ignore_nulls: bool = True, alias_name: str | None = None
    ) -> None:
        super().__init__(label("mean", on, alias_name), lambda: [0, 0], on=on, ignore_nulls=ignore_nulls)

    def aggregate_block(self, block: Block) -> Any:
        """Sum and count of a block."""
        accessor = BlockAccessor.for_block(block)
        on = str(self._target_col_name)
        total = accessor.sum(on, self._ignore_nulls)
        return None if total is None else [total, accessor.count(on, self._ignore_nulls)]

    def combine(self, current_accumulator: list[Any], new: list[Any]) -> list[Any]:
        """The sums of both."""
        return [current_accumulator[0] + new[0], current_accumulator[1] + new[1]]

    def finalize(self, accumulator: list[Any]) -> float | None:
        """Sum by count."""
        total, count = accumulator
        return None if count == 0 else total / count

    def _native(self, schema: pa.Schema) -> pl.Expr | None:
        import polars as pl

        kind = number_kind("mean", self._target_col_name, schema)
        column = pl.col(str(self._target_col_name))
        if pa.types.is_decimal(kind) or pa.types.is_null(kind):
            return null_unless(column, column.cast(pl.Float64).mean(), self._ignore_nulls)
        return null_unless(column, column.mean().cast(pl.Float64).fill_nan(None), self._ignore_nulls)


class Std(AggregateFnV2[list[float], float]):
    """The standard deviation.

    Args:
        on: The column.
        ddof: What is subtracted from the count: 1 for a sample, 0 for all there is.
        ignore_nulls: Whether nulls are left out.
        alias_name: The column of the result; default `std(on)`.
    """

    def __init__(
        self,
        on: str | None = None,
        ddof: int = 1,
        ignore_nulls: bool = True,
        alias_name: str | None = None,
    ) -> None:
        super().__init__(label("std", on, alias_name), lambda: [0, 0, 0], on=on, ignore_nulls=ignore_nulls)
        self._ddof = ddof

    def aggregate_block(self, block: Block) -> Any:
        """Squared distances, mean and count of a block."""
        accessor = BlockAccessor.for_block(block)
        on = str(self._target_col_name)
        count = accessor.count(on, ignore_nulls=True)
        mean = accessor.mean(on, self._ignore_nulls)
        if count == 0 or mean is None:
            return None
        squares = accessor.sum_of_squared_diffs_from_mean(on, self._ignore_nulls, mean)
        return [squares, mean, count]

    def combine(self, current_accumulator: list[float], new: list[float]) -> list[float]:
        """Both, by the way of Chan, Golub and LeVeque, which does not lose digits."""
        left_squares, left_mean, left = current_accumulator
        right_squares, right_mean, right = new
        count = left + right
        delta = right_mean - left_mean
        mean = (left_mean * left + right_mean * right) / count
        return [left_squares + right_squares + delta * delta * left * right / count, mean, count]

    def finalize(self, accumulator: list[float]) -> float | None:
        """The root of the squared distances by the count less `ddof`; NaN if that is not positive."""
        squares, _, count = accumulator
        return math.sqrt(squares / (count - self._ddof)) if count > self._ddof else float("nan")

    def _native(self, schema: pa.Schema) -> pl.Expr | None:
        import polars as pl

        kind = number_kind("std", self._target_col_name, schema)
        column = pl.col(str(self._target_col_name))
        number = column.cast(pl.Float64)
        spread = number.std(ddof=self._ddof)
        if pa.types.is_floating(kind):
            spread = spread.fill_nan(None)
        value = pl.when(column.count() <= self._ddof).then(pl.lit(float("nan"))).otherwise(spread)
        return null_unless(column, value, self._ignore_nulls)


__all__ = ["AbsMax", "Count", "Max", "Mean", "Min", "Std", "Sum"]
