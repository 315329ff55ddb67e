"""Aggregate functions: what `Dataset.aggregate` and `GroupedData.aggregate` compute for each group.

The functions of this module are computed by the native engine (`_native`). They can also be computed block by block, as
a user's own subclass of `AggregateFnV2` is: `aggregate_block` for each block of a group, `combine` for two results, and
`finalize` at the end.
"""

from __future__ import annotations

import abc
import math
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from skate.data.block import AggType, Block, BlockAccessor, KeyType, T, U

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

AccumulatorType = TypeVar("AccumulatorType")
AggOutputType = TypeVar("AggOutputType")
SupportsRichComparisonType = TypeVar("SupportsRichComparisonType")


class AggregateFn:
    """An aggregation made of functions.

    Args:
        init: Called with a group's key, gives the accumulator to start with.
        merge: Joins two accumulators.
        name: The column of the result.
        accumulate_row: Takes an accumulator and a row, gives the next accumulator.
        accumulate_block: The same for a whole block: give one of the two.
        finalize: Makes the result of the last accumulator; default: the accumulator.

    Raises:
        ValueError: neither or both of `accumulate_row` and `accumulate_block` are given.
        TypeError: the name is no string.

    Example:
        >>> import skate.data
        >>> from skate.data.aggregate import AggregateFn
        >>> product = AggregateFn(
        ...     init=lambda key: 1, accumulate_row=lambda a, row: a * (row["id"] + 1), merge=lambda a, b: a * b, name="p"
        ... )
        >>> skate.data.range(4).aggregate(product)
        {'p': 24}
    """

    def __init__(
        self,
        init: Callable[[Any], Any],
        merge: Callable[[Any, Any], Any],
        name: str,
        accumulate_row: Callable[[Any, dict[str, Any]], Any] | None = None,
        accumulate_block: Callable[[Any, Block], Any] | None = None,
        finalize: Callable[[Any], Any] | None = None,
    ) -> None:
        if (accumulate_row is None) == (accumulate_block is None):
            raise ValueError("Exactly one of accumulate_row or accumulate_block must be provided.")
        if accumulate_block is None:
            row_function = accumulate_row

            def accumulate_block(accumulator: Any, block: Block) -> Any:
                for row in BlockAccessor.for_block(block).iter_rows(public_row_format=False):
                    accumulator = row_function(accumulator, row)  # type: ignore[misc]
                return accumulator

        if not isinstance(name, str):
            raise TypeError(f"`name` must be provided as a string, got {name!r}.")
        self.name = name
        self.init = init
        self.merge = merge
        self.accumulate_block = accumulate_block
        if finalize is not None or not hasattr(type(self), "finalize"):
            self.finalize = finalize or (lambda accumulator: accumulator)

    def _validate(self, schema: pa.Schema | None) -> None:
        """Raise ValueError if the columns lack what the aggregation needs."""

    def _native(self, schema: pa.Schema) -> pl.Expr | None:
        """The aggregation for the native engine, or None if it is computed block by block."""
        return None

    def output_field(self, input_schema: pa.Schema) -> pa.Field | None:
        """Name and type of the result; None if they can't be told."""
        return None


class AggregateFnV2(AggregateFn, abc.ABC, Generic[AccumulatorType, AggOutputType]):
    """Base of aggregations that are classes.

    Args:
        name: The column of the result.
        zero_factory: Gives the accumulator to start with.
        on: The column to aggregate, or None for whole rows.
        ignore_nulls: Whether nulls are left out; otherwise one null makes the result null.
    """

    def __init__(
        self,
        name: str,
        zero_factory: Callable[[], AccumulatorType],
        *,
        on: str | None,
        ignore_nulls: bool,
    ) -> None:
        if not name:
            raise ValueError(f"Non-empty string has to be provided as name (got {name})")
        self._target_col_name = on
        self._ignore_nulls = ignore_nulls
        self._zero_factory = zero_factory
        super().__init__(
            init=lambda _key: None,
            merge=self._merge,
            name=name,
            accumulate_block=self._accumulate,
        )

    def _accumulate(self, accumulator: Any, block: Block) -> Any:
        return self._merge(accumulator, _Partial(self.aggregate_block(block)))

    def _merge(self, left: Any, right: Any) -> Any:
        if left is None or right is None:
            return right if left is None else left
        if left.value is None or right.value is None:
            if self._ignore_nulls:
                return right if left.value is None else left
            return _Partial(None)
        return _Partial(self.combine(left.value, right.value))

    def _result(self, accumulator: Any) -> Any:
        value = None if accumulator is None else accumulator.value
        return None if value is None else self.finalize(value)

    def get_target_column(self) -> str | None:
        """The column that is aggregated."""
        return self._target_col_name

    def get_agg_name(self) -> str:
        """The name of the aggregation: its class's."""
        return type(self).__name__

    @abc.abstractmethod
    def aggregate_block(self, block: Block) -> AccumulatorType:
        """The accumulator of a block of one group."""

    @abc.abstractmethod
    def combine(self, current_accumulator: AccumulatorType, new: AccumulatorType) -> AccumulatorType:
        """The accumulator of two."""

    def finalize(self, accumulator: AccumulatorType) -> Any:
        """The result."""
        return accumulator

    def _validate(self, schema: pa.Schema | None) -> None:
        if (
            schema is not None
            and self._target_col_name is not None
            and self._target_col_name not in schema.names
        ):
            raise ValueError(
                f"You specified the column '{self._target_col_name}', but there's no such column in the dataset. "
                f"The dataset has columns: {list(schema.names)}"
            )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__ != __name__ and "_native" not in cls.__dict__:
            cls._native = AggregateFn._native  # type: ignore[method-assign]  # its methods were changed: use them


class VectorizedAggregateFnV2(AggregateFnV2[AccumulatorType, AggOutputType]):
    """Base of aggregations whose accumulators are values of a column."""


class _Partial:
    """An accumulator that exists, and may be null; None means that no block was seen."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _label(function: str, on: str | None, alias: str | None) -> str:
    return alias or f"{function}({on or ''})"


def _column(block: Block, on: str | None) -> pa.ChunkedArray:
    return BlockAccessor.for_block(block).to_arrow().column(on)


def _pl_null_unless(column: pl.Expr, value: pl.Expr, ignore_nulls: bool) -> pl.Expr:
    """The value, or null if there is nothing to aggregate, or a null that counts."""
    import polars as pl

    usable = column.count() > 0 if ignore_nulls else (column.null_count() == 0) & (column.len() > 0)
    return pl.when(usable).then(value).otherwise(None)


def _widened(column: pl.Expr, kind: pa.DataType) -> pl.Expr:
    """A column in the type that its sum has."""
    import polars as pl

    if pa.types.is_boolean(kind) or pa.types.is_unsigned_integer(kind):
        return column.cast(pl.UInt64)
    if pa.types.is_integer(kind):
        return column.cast(pl.Int64)
    if pa.types.is_floating(kind):
        return column.cast(pl.Float64)
    return column


def _number_kind(agg: str, on: str | None, schema: pa.Schema) -> pa.DataType:
    """The type of a column that must hold numbers.

    Raises:
        pa.ArrowNotImplementedError: it holds something else.
    """
    kind = schema.field(on).type
    ok = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if not (ok or pa.types.is_decimal(kind) or pa.types.is_null(kind) or pa.types.is_duration(kind)):
        raise pa.ArrowNotImplementedError(
            f"Function '{agg}' has no kernel matching input types ({kind}): the column {on!r} must hold numbers."
        )
    return kind


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
        super().__init__(_label("count", on, alias_name), lambda: 0, on=on, ignore_nulls=ignore_nulls)

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
        super().__init__(_label(self.function, on, alias_name), zero, on=on, ignore_nulls=ignore_nulls)


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

        kind = _number_kind("sum", self._target_col_name, schema)
        column = pl.col(str(self._target_col_name))
        total = _widened(column, kind).sum()
        if pa.types.is_floating(kind):
            total = total.fill_nan(None)
        return _pl_null_unless(column, total, self._ignore_nulls)


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
        return _pl_null_unless(column, column.min(), self._ignore_nulls)


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
        return _pl_null_unless(column, column.max(), self._ignore_nulls)


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

        _number_kind("abs", self._target_col_name, schema)
        column = pl.col(str(self._target_col_name))
        return _pl_null_unless(column, column.abs().max(), self._ignore_nulls)


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
        super().__init__(_label("mean", on, alias_name), lambda: [0, 0], on=on, ignore_nulls=ignore_nulls)

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

        kind = _number_kind("mean", self._target_col_name, schema)
        column = pl.col(str(self._target_col_name))
        if pa.types.is_decimal(kind) or pa.types.is_null(kind):
            return _pl_null_unless(column, column.cast(pl.Float64).mean(), self._ignore_nulls)
        return _pl_null_unless(column, column.mean().cast(pl.Float64).fill_nan(None), self._ignore_nulls)


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
        super().__init__(_label("std", on, alias_name), lambda: [0, 0, 0], on=on, ignore_nulls=ignore_nulls)
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

        kind = _number_kind("std", self._target_col_name, schema)
        column = pl.col(str(self._target_col_name))
        number = column.cast(pl.Float64)
        spread = number.std(ddof=self._ddof)
        if pa.types.is_floating(kind):
            spread = spread.fill_nan(None)
        value = pl.when(column.count() <= self._ddof).then(pl.lit(float("nan"))).otherwise(spread)
        return _pl_null_unless(column, value, self._ignore_nulls)


class Quantile(AggregateFnV2[list[Any], float]):
    """A quantile, interpolated between its two neighbours.

    Args:
        on: The column.
        q: Which: 0.5 is the median.
        ignore_nulls: Whether nulls are left out.
        alias_name: The column of the result; default `quantile(on)`.
    """

    def __init__(
        self,
        on: str | None = None,
        q: float = 0.5,
        ignore_nulls: bool = True,
        alias_name: str | None = None,
    ) -> None:
        super().__init__(_label("quantile", on, alias_name), list, on=on, ignore_nulls=ignore_nulls)
        self._q = q

    def aggregate_block(self, block: Block) -> Any:
        """All values of a block."""
        values = _column(block, self._target_col_name).to_pylist()
        if self._ignore_nulls:
            return [value for value in values if value is not None]
        return None if None in values else values

    def combine(self, current_accumulator: list[Any], new: list[Any]) -> list[Any]:
        """The values of both."""
        return [*current_accumulator, *new]

    def finalize(self, accumulator: list[Any]) -> Any:
        """The quantile of all values."""
        if not accumulator:
            return None
        return pc.quantile(pa.array(accumulator), q=self._q)[0].as_py()

    def _native(self, schema: pa.Schema) -> pl.Expr | None:
        import polars as pl

        _number_kind("quantile", self._target_col_name, schema)
        column = pl.col(str(self._target_col_name))
        value = column.cast(pl.Float64).quantile(self._q, interpolation="linear")
        return _pl_null_unless(column, value, self._ignore_nulls)


class AsList(VectorizedAggregateFnV2[list[Any], list[Any]]):
    """All values, as a list.

    Args:
        on: The column.
        alias_name: The column of the result; default `list(on)`.
        ignore_nulls: Whether nulls are left out.
    """

    def __init__(self, on: str, alias_name: str | None = None, ignore_nulls: bool = False) -> None:
        super().__init__(_label("list", on, alias_name), list, on=on, ignore_nulls=ignore_nulls)

    def aggregate_block(self, block: Block) -> Any:
        """All values of a block."""
        values = _column(block, self._target_col_name).to_pylist()
        return [value for value in values if value is not None] if self._ignore_nulls else values

    def combine(self, current_accumulator: list[Any], new: list[Any]) -> list[Any]:
        """The values of both."""
        return [*current_accumulator, *new]

    def _native(self, schema: pa.Schema) -> pl.Expr | None:
        import polars as pl

        column = pl.col(str(self._target_col_name))
        return column.drop_nulls().implode() if self._ignore_nulls else column.implode()


class Unique(VectorizedAggregateFnV2[Any, list[Any]]):
    """The different values, as a list.

    Args:
        on: The column.
        ignore_nulls: Whether null is left out.
        alias_name: The column of the result; default `unique(on)`.
        encode_lists: Whether the different items of lists are meant, and not the different lists.
    """

    _NAME = "unique"

    def __init__(
        self,
        on: str | None = None,
        ignore_nulls: bool = False,
        alias_name: str | None = None,
        encode_lists: Any = None,
    ) -> None:
        super().__init__(_label(self._NAME, on, alias_name), set, on=on, ignore_nulls=ignore_nulls)
        self._encode_lists = encode_lists

    def aggregate_block(self, block: Block) -> Any:
        """The different values of a block, in the order they appear."""
        values = _column(block, self._target_col_name).to_pylist()
        if self._encode_lists and any(isinstance(value, list) for value in values):
            values = [item for value in values if value is not None for item in value]
        found = {_hashable(value): value for value in values}
        return list(found.values())

    def combine(self, current_accumulator: Any, new: Any) -> Any:
        """The different values of both."""
        return list({_hashable(value): value for value in [*current_accumulator, *new]}.values())

    def finalize(self, accumulator: Any) -> Any:
        """The values, without null if it is to be left out."""
        return (
            [value for value in accumulator if value is not None] if self._ignore_nulls else list(accumulator)
        )

    def _native(self, schema: pa.Schema) -> pl.Expr | None:
        import polars as pl

        if self._encode_lists or pa.types.is_nested(schema.field(self._target_col_name).type):
            return None
        column = pl.col(str(self._target_col_name))
        if self._ignore_nulls:
            column = column.drop_nulls()
        return column.unique(maintain_order=True).implode()


def _hashable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_hashable(item) for item in value)
    if isinstance(value, dict):
        return tuple((key, _hashable(item)) for key, item in value.items())
    return "nan" if isinstance(value, float) and math.isnan(value) else value


class CountDistinct(Unique):
    """How many different values there are.

    Args:
        on: The column.
        ignore_nulls: Whether null is left out.
        alias_name: The column of the result; default `count_distinct(on)`.
    """

    _NAME = "count_distinct"

    def __init__(self, on: str, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        super().__init__(on, ignore_nulls, alias_name)

    def finalize(self, accumulator: Any) -> Any:
        """The number of values."""
        return len(super().finalize(accumulator))

    def _native(self, schema: pa.Schema) -> pl.Expr | None:
        import polars as pl

        if pa.types.is_nested(schema.field(self._target_col_name).type):
            return None
        column = pl.col(str(self._target_col_name))
        if self._ignore_nulls:
            column = column.drop_nulls()
        return column.n_unique().cast(pl.Int64)


class ValueCounter(AggregateFnV2[dict[str, list[Any]], dict[str, list[Any]]]):
    """How often each value is there: a dict of `values` and `counts`, the most frequent first.

    Args:
        on: The column.
        alias_name: The column of the result; default `value_counter(on)`.
    """

    def __init__(self, on: str, alias_name: str | None = None) -> None:
        super().__init__(
            _label("value_counter", on, alias_name),
            lambda: {"values": [], "counts": []},
            on=on,
            ignore_nulls=True,
        )

    def aggregate_block(self, block: Block) -> dict[str, list[Any]]:
        """The counts of a block."""
        return self._tally(
            (value, 1) for value in _column(block, self._target_col_name).to_pylist() if value is not None
        )

    def combine(
        self, current_accumulator: dict[str, list[Any]], new: dict[str, list[Any]]
    ) -> dict[str, list[Any]]:
        """The counts of both."""
        pairs = [
            (v, c)
            for part in (current_accumulator, new)
            for v, c in zip(part["values"], part["counts"], strict=True)
        ]
        return self._tally(pairs)

    @staticmethod
    def _tally(pairs: Any) -> dict[str, list[Any]]:
        counts: dict[Any, int] = {}
        values: dict[Any, Any] = {}
        for value, count in pairs:
            key = _hashable(value)
            counts[key] = counts.get(key, 0) + count
            values.setdefault(key, value)
        ordered = sorted(counts, key=lambda key: -counts[key])
        return {"values": [values[key] for key in ordered], "counts": [counts[key] for key in ordered]}


class _Share(AggregateFnV2[list[int], float]):
    """A part of the rows, in percent."""

    def combine(self, current_accumulator: list[int], new: list[int]) -> list[int]:
        """The sums of both."""
        return [current_accumulator[0] + new[0], current_accumulator[1] + new[1]]

    def finalize(self, accumulator: list[int]) -> float | None:
        """The part, in percent; null of no rows."""
        part, whole = accumulator
        return None if whole == 0 else 100.0 * part / whole


class MissingValuePercentage(_Share):
    """How many of the values are null or NaN, in percent.

    Args:
        on: The column.
        alias_name: The column of the result; default `missing_pct(on)`.
    """

    def __init__(self, on: str, alias_name: str | None = None) -> None:
        super().__init__(_label("missing_pct", on, alias_name), lambda: [0, 0], on=on, ignore_nulls=False)

    def aggregate_block(self, block: Block) -> list[int]:
        """Missing values and all values of a block."""
        column = _column(block, self._target_col_name)
        missing = pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))
        return [pc.sum(missing).as_py() or 0, len(column)]

    def _native(self, schema: pa.Schema) -> pl.Expr | None:
        import polars as pl

        column = pl.col(str(self._target_col_name))
        missing = column.null_count()
        if pa.types.is_floating(schema.field(self._target_col_name).type):
            missing = missing + column.is_nan().sum()
        return pl.when(pl.len() > 0).then(missing * 100.0 / pl.len()).otherwise(None)


class ZeroPercentage(_Share):
    """How many of the values are zero, in percent.

    Args:
        on: The column.
        ignore_nulls: Whether nulls are left out of the whole.
        alias_name: The column of the result; default `zero_pct(on)`.
    """

    def __init__(self, on: str, ignore_nulls: bool = True, alias_name: str | None = None) -> None:
        super().__init__(_label("zero_pct", on, alias_name), lambda: [0, 0], on=on, ignore_nulls=ignore_nulls)

    def aggregate_block(self, block: Block) -> list[int]:
        """Zeros and all values of a block."""
        column = _column(block, self._target_col_name)
        whole = len(column) - column.null_count if self._ignore_nulls else len(column)
        return [pc.sum(pc.equal(column, 0)).as_py() or 0, whole]

    def _native(self, schema: pa.Schema) -> pl.Expr | None:
        import polars as pl

        _number_kind("equal", self._target_col_name, schema)
        column = pl.col(str(self._target_col_name))
        whole = column.count() if self._ignore_nulls else pl.len()
        return pl.when(whole > 0).then((column == 0).sum() * 100.0 / whole).otherwise(None)


class ApproximateQuantile(AggregateFnV2[list[Any], list[float]]):
    """Several quantiles at once. They are exact: the native engine has all values at hand.

    Args:
        on: The column.
        quantiles: Which.
        quantile_precision: Accepted for Ray's programs.
        alias_name: The column of the result; default `approx_quantile(on)`.
    """

    def __init__(
        self,
        on: str,
        quantiles: list[float],
        quantile_precision: int = 800,
        alias_name: str | None = None,
    ) -> None:
        super().__init__(_label("approx_quantile", on, alias_name), list, on=on, ignore_nulls=True)
        self._quantiles = quantiles
        self._precision = quantile_precision

    def aggregate_block(self, block: Block) -> list[Any]:
        """All values of a block."""
        return [v for v in _column(block, self._target_col_name).to_pylist() if v is not None]

    def combine(self, current_accumulator: list[Any], new: list[Any]) -> list[Any]:
        """The values of both."""
        return [*current_accumulator, *new]

    def finalize(self, accumulator: list[Any]) -> list[float] | None:
        """The quantiles."""
        if not accumulator:
            return None
        return list(pc.quantile(pa.array(accumulator), q=self._quantiles, interpolation="lower").to_pylist())


class ApproximateTopK(AggregateFnV2[dict[str, list[Any]], list[dict[str, Any]]]):
    """The most frequent values with their counts. They are exact.

    Args:
        on: The column.
        k: How many.
        log_capacity: Accepted for Ray's programs.
        alias_name: The column of the result; default `approx_topk(on)`.
        encode_lists: Whether the items of lists are counted, and not the lists.
    """

    def __init__(
        self,
        on: str,
        k: int,
        log_capacity: int = 15,
        alias_name: str | None = None,
        encode_lists: bool = False,
    ) -> None:
        super().__init__(_label("approx_topk", on, alias_name), dict, on=on, ignore_nulls=True)
        self._k = k
        self._encode_lists = encode_lists
        self._counter = ValueCounter(on)

    def aggregate_block(self, block: Block) -> dict[str, list[Any]]:
        """The counts of a block."""
        values = [v for v in _column(block, self._target_col_name).to_pylist() if v is not None]
        if self._encode_lists:
            values = [item for value in values for item in (value if isinstance(value, list) else [value])]
        return self._counter._tally((value, 1) for value in values)

    def combine(
        self, current_accumulator: dict[str, list[Any]], new: dict[str, list[Any]]
    ) -> dict[str, list[Any]]:
        """The counts of both."""
        return self._counter.combine(current_accumulator, new)

    def finalize(self, accumulator: dict[str, list[Any]]) -> list[dict[str, Any]]:
        """The first k."""
        on = str(self._target_col_name)
        pairs = zip(accumulator["values"], accumulator["counts"], strict=True)
        return [{on: value, "count": count} for value, count in list(pairs)[: self._k]]


__all__ = [
    "AbsMax",
    "AccumulatorType",
    "AggOutputType",
    "AggType",
    "AggregateFn",
    "AggregateFnV2",
    "ApproximateQuantile",
    "ApproximateTopK",
    "AsList",
    "Count",
    "CountDistinct",
    "KeyType",
    "Max",
    "Mean",
    "Min",
    "MissingValuePercentage",
    "Quantile",
    "Std",
    "Sum",
    "SupportsRichComparisonType",
    "T",
    "U",
    "Unique",
    "ValueCounter",
    "VectorizedAggregateFnV2",
    "ZeroPercentage",
]
