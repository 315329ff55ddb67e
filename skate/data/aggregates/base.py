"""The contract of aggregate functions: `AggregateFn` of functions, `AggregateFnV2` as a class."""

from __future__ import annotations

import abc
import copy
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pyarrow as pa

from skate.data.block import Block, BlockAccessor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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


def told_apart(aggs: Iterable[AggregateFn], keys: Sequence[str] = ()) -> tuple[AggregateFn, ...]:
    """The aggregations under different names: a second `count(v)` is `count(v)_2`.

    Raises:
        ValueError: one has the name of a key.
    """
    found: list[AggregateFn] = []
    taken: set[str] = set()
    for agg in aggs:
        name, number = agg.name, 2
        if name in keys:
            raise ValueError(f"An aggregation is called {name!r}, as a key is: give it another alias_name.")
        while name in taken:
            name, number = f"{agg.name}_{number}", number + 1
        if name != agg.name:
            agg = copy.copy(agg)  # noqa: PLW2901
            agg.name = name
        taken.add(name)
        found.append(agg)
    return tuple(found)


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
        if not cls.__module__.startswith("skate.data.aggregates.") and "_native" not in cls.__dict__:
            cls._native = AggregateFn._native  # type: ignore[method-assign]  # its methods were changed: use them


class VectorizedAggregateFnV2(AggregateFnV2[AccumulatorType, AggOutputType]):
    """Base of aggregations whose accumulators are values of a column."""


class _Partial:
    """An accumulator that exists, and may be null; None means that no block was seen."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def label(function: str, on: str | None, alias: str | None) -> str:
    """The name of a result: the alias, or `function(column)`."""
    return alias or f"{function}({on or ''})"


def column_of(block: Block, on: str | None) -> pa.ChunkedArray:
    """A column of a block."""
    return BlockAccessor.for_block(block).to_arrow().column(on)


def null_unless(column: pl.Expr, value: pl.Expr, ignore_nulls: bool) -> pl.Expr:
    """The value, or null if there is nothing to aggregate, or a null that counts."""
    import polars as pl

    usable = column.count() > 0 if ignore_nulls else (column.null_count() == 0) & (column.len() > 0)
    return pl.when(usable).then(value).otherwise(None)


def widened(column: pl.Expr, kind: pa.DataType) -> pl.Expr:
    """A column in the type that its sum has."""
    import polars as pl

    if pa.types.is_boolean(kind) or pa.types.is_unsigned_integer(kind):
        return column.cast(pl.UInt64)
    if pa.types.is_integer(kind):
        return column.cast(pl.Int64)
    if pa.types.is_floating(kind):
        return column.cast(pl.Float64)
    return column


def number_kind(agg: str, on: str | None, schema: pa.Schema) -> pa.DataType:
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


__all__ = [
    "AccumulatorType",
    "AggOutputType",
    "AggregateFn",
    "AggregateFnV2",
    "SupportsRichComparisonType",
    "VectorizedAggregateFnV2",
    "column_of",
    "label",
    "null_unless",
    "number_kind",
    "told_apart",
    "widened",
]
