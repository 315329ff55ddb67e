"""Aggregations that need all values, or tell of parts of them: quantiles, lists, sets, shares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from skate.data.aggregates.base import (
    AggregateFnV2,
    VectorizedAggregateFnV2,
    column_of,
    label,
    null_unless,
    number_kind,
)

if TYPE_CHECKING:
    import polars as pl

    from skate.data.block import Block


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
        super().__init__(label("quantile", on, alias_name), list, on=on, ignore_nulls=ignore_nulls)
        self._q = q

    def aggregate_block(self, block: Block) -> Any:
        """All values of a block."""
        values = column_of(block, self._target_col_name).to_pylist()
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

        number_kind("quantile", self._target_col_name, schema)
        column = pl.col(str(self._target_col_name))
        value = column.cast(pl.Float64).quantile(self._q, interpolation="linear")
        return null_unless(column, value, self._ignore_nulls)


class AsList(VectorizedAggregateFnV2[list[Any], list[Any]]):
    """All values, as a list.

    Args:
        on: The column.
        alias_name: The column of the result; default `list(on)`.
        ignore_nulls: Whether nulls are left out.
    """

    def __init__(self, on: str, alias_name: str | None = None, ignore_nulls: bool = False) -> None:
        super().__init__(label("list", on, alias_name), list, on=on, ignore_nulls=ignore_nulls)

    def aggregate_block(self, block: Block) -> Any:
        """All values of a block."""
        values = column_of(block, self._target_col_name).to_pylist()
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
        super().__init__(label(self._NAME, on, alias_name), set, on=on, ignore_nulls=ignore_nulls)
        self._encode_lists = encode_lists

    def aggregate_block(self, block: Block) -> Any:
        """The different values of a block, in the order they appear."""
        values = column_of(block, self._target_col_name).to_pylist()
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
            label("value_counter", on, alias_name),
            lambda: {"values": [], "counts": []},
            on=on,
            ignore_nulls=True,
        )

    def aggregate_block(self, block: Block) -> dict[str, list[Any]]:
        """The counts of a block."""
        return self._tally(
            (value, 1) for value in column_of(block, self._target_col_name).to_pylist() if value is not None
        )

    def combine(
        self, current_accumulator: dict[str, list[Any]], new_accumulator: dict[str, list[Any]]
    ) -> dict[str, list[Any]]:
        """The counts of both."""
        pairs = [
            (v, c)
            for part in (current_accumulator, new_accumulator)
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
        super().__init__(label("missing_pct", on, alias_name), lambda: [0, 0], on=on, ignore_nulls=False)

    def aggregate_block(self, block: Block) -> list[int]:
        """Missing values and all values of a block."""
        column = column_of(block, self._target_col_name)
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
        super().__init__(label("zero_pct", on, alias_name), lambda: [0, 0], on=on, ignore_nulls=ignore_nulls)

    def aggregate_block(self, block: Block) -> list[int]:
        """Zeros and all values of a block."""
        column = column_of(block, self._target_col_name)
        whole = len(column) - column.null_count if self._ignore_nulls else len(column)
        return [pc.sum(pc.equal(column, 0)).as_py() or 0, whole]

    def _native(self, schema: pa.Schema) -> pl.Expr | None:
        import polars as pl

        number_kind("equal", self._target_col_name, schema)
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
        super().__init__(label("approx_quantile", on, alias_name), list, on=on, ignore_nulls=True)
        self._quantiles = quantiles
        self._precision = quantile_precision

    def aggregate_block(self, block: Block) -> list[Any]:
        """All values of a block."""
        return [v for v in column_of(block, self._target_col_name).to_pylist() if v is not None]

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
        super().__init__(label("approx_topk", on, alias_name), dict, on=on, ignore_nulls=True)
        self._k = k
        self._encode_lists = encode_lists
        self._counter = ValueCounter(on)

    def aggregate_block(self, block: Block) -> dict[str, list[Any]]:
        """The counts of a block."""
        values = [v for v in column_of(block, self._target_col_name).to_pylist() if v is not None]
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
    "ApproximateQuantile",
    "ApproximateTopK",
    "AsList",
    "CountDistinct",
    "MissingValuePercentage",
    "Quantile",
    "Unique",
    "ValueCounter",
    "ZeroPercentage",
]
