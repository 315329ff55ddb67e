"""Groups of rows: users' functions over whole groups, and aggregations that the native engine does not know."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from skate.data import convert
from skate.data.aggregate import (
    AggregateFn,
    AggregateFnV2,
    ApproximateQuantile,
    ApproximateTopK,
    AsList,
    Quantile,
    Unique,
    ValueCounter,
)
from skate.data.execution.udf import UserTransform, guard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BLOCK_BYTES = 16 << 20
_BY_BLOCK = (ApproximateQuantile, ApproximateTopK, ValueCounter)


def is_native(aggs: Sequence[AggregateFn]) -> bool:
    """Whether the native engine computes all of these."""
    return all(
        type(agg).__module__.startswith("skate.data.aggregates.")
        and isinstance(agg, AggregateFnV2)
        and not isinstance(agg, _BY_BLOCK)
        and not getattr(agg, "_encode_lists", None)
        for agg in aggs
    )


def keep_values(aggs: Sequence[AggregateFn]) -> bool:
    """Whether one of these holds all values of a group until the end."""
    return any(isinstance(agg, (AsList, Quantile, Unique)) for agg in aggs)


def native_aggs(aggs: Sequence[AggregateFn], schema: pa.Schema) -> list[tuple[str, pl.Expr]]:
    """The aggregations for the native engine.

    Raises:
        ValueError: a column is missing.
        pa.ArrowNotImplementedError: a column has a type that can't be aggregated so.
    """
    result = []
    for agg in aggs:
        agg._validate(schema)
        expr = agg._native(schema)
        if expr is None:
            raise TypeError(f"{agg.name} can't be computed over {schema}: its column is nested.")
        result.append((agg.name, expr))
    return result


def whole_groups(tables: Iterator[pa.Table], keys: Sequence[str]) -> Iterator[pa.Table]:
    """Tables, in order of the keys, cut so that no group is in two of them."""
    held: list[pa.Table] = []
    size = 0
    for table in tables:
        held.append(table)
        size += table.nbytes
        if size < _BLOCK_BYTES or not keys:
            continue
        whole = convert.concat(held)
        last = _starts(whole, keys)[-1]
        if last == 0:
            held = [whole]
            continue
        yield whole.slice(0, last)
        held, size = [whole.slice(last)], whole.slice(last).nbytes
    if held:
        yield convert.concat(held)


def _starts(table: pa.Table, keys: Sequence[str]) -> list[int]:
    """Where each group begins, in a table in order of the keys."""
    rows = table.num_rows
    if not keys or rows == 0:
        return [0]
    changed = np.zeros(rows, dtype=bool)
    changed[0] = True
    frame = pl.from_arrow(table.select(list(keys)))
    if isinstance(frame, pl.DataFrame):
        for key in keys:
            column = frame[key]
            changed[1:] |= column[1:].ne_missing(column[:-1]).to_numpy()
    return [int(place) for place in np.flatnonzero(changed)]


@dataclass
class MapGroupsTransform(UserTransform):
    """A function over each group. Its input is in order of the keys, and groups are whole."""

    keys: tuple[str, ...] = ()
    batch_format: str = "numpy"

    def __call__(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """What the function makes of each group."""
        for result in self.results(guard(self._groups(tables)), "group"):
            if hasattr(result, "__next__"):
                for part in result:
                    yield convert.table_from_batch(part)
            else:
                yield convert.table_from_batch(result)

    def _groups(self, tables: Iterator[pa.Table]) -> Iterator[Any]:
        for table in tables:
            if table.num_rows == 0:
                continue
            starts = [*_starts(table, self.keys), table.num_rows]
            for start, end in itertools.pairwise(starts):
                yield convert.table_to_batch(table.slice(start, end - start), self.batch_format)


def aggregate_blocks(
    tables: Iterator[pa.Table], keys: Sequence[str], aggs: Sequence[AggregateFn]
) -> pa.Table:
    """One row for each group, in order of the keys, or one row for all, computed by the aggregations' own methods.

    Raises:
        ValueError: a column is missing.
    """
    found: dict[Any, list[Any]] = {}
    values: dict[Any, tuple[Any, ...]] = {}
    for table in tables:
        if table.num_columns == 0:
            continue
        for agg in aggs:
            agg._validate(table.schema)
        for key in keys:
            if key not in table.column_names:
                raise ValueError(
                    f"You specified the column '{key}', but there's no such column in the dataset. The dataset has "
                    f"columns: {table.column_names}"
                )
        for key_values, part in _groups_of(table, keys):
            identity = tuple(_identity(value) for value in key_values)
            values.setdefault(identity, key_values)
            single = key_values[0] if len(key_values) == 1 else key_values
            state = found.setdefault(identity, [agg.init(single if keys else None) for agg in aggs])
            for index, agg in enumerate(aggs):
                state[index] = agg.accumulate_block(state[index], part)
    if not keys and not found:
        found[()] = [agg.init(None) for agg in aggs]
        values[()] = ()
    columns: dict[str, list[Any]] = {key: [] for key in keys}
    columns.update({agg.name: [] for agg in aggs})
    for identity, state in found.items():
        for key, value in zip(keys, values[identity], strict=True):
            columns[key].append(value)
        for agg, accumulator in zip(aggs, state, strict=True):
            columns[agg.name].append(_finish(agg, accumulator))
    result = convert.table_from_columns(columns)
    if not keys:
        return result
    order = pc.sort_indices(result, sort_keys=[(key, "ascending") for key in keys])
    return result.take(order)


def _finish(agg: AggregateFn, accumulator: Any) -> Any:
    if isinstance(agg, AggregateFnV2):
        return agg._result(accumulator)
    return agg.finalize(accumulator)


def _identity(value: Any) -> Any:
    return "nan" if isinstance(value, float) and value != value else (type(value), value)


def _groups_of(table: pa.Table, keys: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], pa.Table]]:
    if not keys:
        yield (), table
        return
    order = pc.sort_indices(table.select(list(keys)), sort_keys=[(key, "ascending") for key in keys])
    ordered = table.take(order)
    starts = [*_starts(ordered, keys), ordered.num_rows]
    for start, end in itertools.pairwise(starts):
        if end > start:
            part = ordered.slice(start, end - start)
            yield tuple(part.column(key)[0].as_py() for key in keys), part


__all__ = [
    "MapGroupsTransform",
    "aggregate_blocks",
    "is_native",
    "keep_values",
    "native_aggs",
    "whole_groups",
]
