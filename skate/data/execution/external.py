"""Sorting, grouping and joining of more rows than memory holds: dealt out to buckets first, then bucket by bucket.

Buckets of a sort are ranges of its keys, so they are in order one after the other; groups are never cut, since equal keys
are in one range. Buckets of a join are the same on both sides. Each then fits into memory, and is work for the native engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from skate.data.execution import memory
from skate.data.execution.spill import Buckets, Spool
from skate.data.plan import native

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from skate.data.plan.native import NativeFrame

_MOST_BUCKETS = 256
_SAMPLE_ROWS = 100_000
_BOUND = "__skate_bound__"


def _bucket_count(size_bytes: int, budget: int) -> int:
    return max(2, min(_MOST_BUCKETS, -(-size_bytes * 8 // max(1, budget))))


def sorted_by(
    child: NativeFrame, keys: Sequence[str], descending: Sequence[bool], budget: int
) -> Iterator[pa.Table]:
    """The rows in order, as `native.sorted_by` gives them."""
    for _, frame in _ranges(child, keys, descending, budget):
        if isinstance(frame, Spool):
            yield from (child.finish(part) for part in frame)
        else:
            yield child.finish(_ordered(frame, child.schema, keys, descending))


def are_few_groups(child: NativeFrame, keys: Sequence[str]) -> bool:
    """Whether the first rows have far fewer different keys than there are rows, so that the groups fit into memory."""
    first = child.first_rows(_SAMPLE_ROWS).select(list(keys))
    return first.n_unique() * 8 < first.height


def grouped(
    child: NativeFrame, keys: Sequence[str], aggs: Sequence[tuple[str, pl.Expr]], budget: int
) -> Iterator[pa.Table]:
    """One row for each group, in order of the keys, as `native.grouped` gives them."""
    needed = {*keys, *(name for _, expr in aggs for name in expr.meta.root_names())}
    child = child.select([name for name in child.schema.names if name in needed])
    equal: list[pl.DataFrame] = []
    for has_more, frame in _ranges(child, keys, [False] * len(keys), budget):
        rows = pl.concat(list(frame)) if isinstance(frame, Spool) else frame
        if has_more:  # rows of one key, that others of its bucket follow: no group of theirs is in the next
            equal.append(rows)
            continue
        for part in [*equal, rows]:
            yield native.grouped(native.from_frame(part, child.schema), keys, aggs).collect()
        equal = []


def _ordered(
    frame: pl.DataFrame, schema: pa.Schema, keys: Sequence[str], descending: Sequence[bool]
) -> pl.DataFrame:
    part = native.from_frame(frame, schema)
    return native.sorted_by(part, keys, descending).frame.collect(engine="in-memory")


def _ranges(
    child: NativeFrame, keys: Sequence[str], descending: Sequence[bool], budget: int
) -> Iterator[tuple[bool, Spool | pl.DataFrame]]:
    """The rows in ranges of the keys, the ranges in order; a spool holds rows that are equal in the keys.

    With each comes whether more rows follow that belong to the same bucket.
    """
    source, sample, size = _sampled(child, keys, memory.piece())
    if sample.is_empty():  # as after a filter that nothing passes: there are no bounds to be found
        if isinstance(source, Spool):
            source.close()
        return
    bounds = _bounds(sample, child.schema, keys, descending, _bucket_count(size, budget))
    buckets = Buckets(bounds.height + 1, budget)
    try:
        for frame in source:
            if frame.height:
                ordered, numbers = _placed(frame, bounds, child.schema, keys, descending)
                buckets.deal(ordered, numbers)
        if isinstance(source, Spool):
            source.close()
        for index in range(len(buckets)):
            spool = buckets[index]
            if spool.rows and spool.size <= budget:
                yield False, pl.concat(list(spool))
            elif spool.rows:
                yield from _skewed(spool, bounds.slice(index - 1, 1) if index else None, keys)
            spool.close()
    finally:
        buckets.close()
        if isinstance(source, Spool):
            source.close()


def _skewed(
    spool: Spool, bound: pl.DataFrame | None, keys: Sequence[str]
) -> Iterator[tuple[bool, Spool | pl.DataFrame]]:
    """A bucket that is too large: nearly all of it is one key, its lower bound, whose rows need no sorting."""
    if bound is None:
        yield False, pl.concat(list(spool))
        return
    equal, others = Spool(), []
    try:
        for frame in spool:
            same = pl.all_horizontal(pl.col(key).eq_missing(pl.lit(bound[key])) for key in keys)
            mask = frame.select(same.alias(_BOUND)).to_series()
            equal.add(frame.filter(mask))
            equal.spill()
            others.append(frame.filter(~mask))
        rest = pl.concat(others)
        yield rest.height > 0, equal
        if rest.height:
            yield False, rest
    finally:
        equal.close()


def _sampled(
    child: NativeFrame, keys: Sequence[str], most_bytes: int
) -> tuple[Iterator[pl.DataFrame] | Spool, pl.DataFrame, int]:
    """The rows, a sample of their keys, and their bytes. Rows that come only once are kept on the disk meanwhile."""
    rng = np.random.default_rng(0)
    spool = Spool()
    sample = [child.empty().frame.select(list(keys)).collect()]
    share, kept, size, rows = 1.0, 0, 0, 0
    for frame in (child if child.is_once else child.select(keys)).frames(most_bytes):
        if child.is_once:
            spool.add(frame)
            spool.spill()
        rows += frame.height
        size += int(frame.estimated_size())
        part = frame.select(list(keys)).filter(pl.Series(rng.random(frame.height) < share))
        sample.append(part)
        kept += part.height
        if kept > 2 * _SAMPLE_ROWS:
            share /= 2
            whole = pl.concat(sample)
            sample = [whole.filter(pl.Series(rng.random(whole.height) < 0.5))]
            kept = sample[0].height
    if child.is_once:
        return spool, pl.concat(sample), size
    return child.frames(most_bytes), pl.concat(sample), max(size, child.size_bytes)


def _bounds(
    sample: pl.DataFrame, schema: pa.Schema, keys: Sequence[str], descending: Sequence[bool], count: int
) -> pl.DataFrame:
    """The first keys of all ranges but the first."""
    ordered = _ordered(sample, native.schema_of(schema, keys), keys, descending)
    places = np.unique(np.linspace(0, max(0, ordered.height - 1), count + 1)[1:-1].astype(np.int64))
    return ordered[places].unique(maintain_order=True)


def _placed(
    frame: pl.DataFrame,
    bounds: pl.DataFrame,
    schema: pa.Schema,
    keys: Sequence[str],
    descending: Sequence[bool],
) -> tuple[pl.DataFrame, Any]:
    """The rows in order of the keys, and for each how many bounds it has reached.

    The bounds are sorted among the rows, each before those that are equal to it, so any keys can be compared.
    """
    marked = pl.concat(
        [
            bounds.with_columns(pl.lit(True).alias(_BOUND)),
            frame.with_columns(pl.lit(False).alias(_BOUND)),
        ],
        how="diagonal",
    )
    ordered = _ordered(marked, schema, keys, descending)
    numbers = ordered[_BOUND].cum_sum().to_numpy()
    rows = ~ordered[_BOUND].to_numpy()
    kept = ordered.filter(~pl.col(_BOUND)).select(frame.columns)
    return kept, numbers[rows]


def joined(
    left: NativeFrame,
    right: NativeFrame,
    how: str,
    left_on: Sequence[str],
    right_on: Sequence[str],
    suffixes: tuple[str | None, str | None],
    budget: int,
) -> Iterator[pa.Table]:
    """Rows of both, matched by columns, as `native.joined` gives them, in another order."""
    count = _bucket_count(left.size_bytes + right.size_bytes, budget)
    kinds = native.key_types(left.schema, left_on, right.schema, right_on)
    sides: list[Buckets] = []
    try:
        for side, on in ((left, left_on), (right, right_on)):
            buckets = Buckets(count, budget // 2)
            sides.append(buckets)
            number = native.bucket_of(on, kinds, count)
            for frame in side.frames(memory.piece()):
                if frame.height:
                    buckets.deal(frame, frame.select(number).to_series().to_numpy())
        for index in range(count):
            parts = []
            for buckets, side in zip(sides, (left, right), strict=True):
                rows = list(buckets[index])
                parts.append(native.from_frame(pl.concat(rows), side.schema) if rows else side.empty())
            if any(part.size_bytes for part in parts):
                one, two = parts
                yield from native.joined(one, two, how, left_on, right_on, *suffixes).stream()
            for buckets in sides:
                buckets[index].close()
    finally:
        for buckets in sides:
            buckets.close()


__all__ = ["are_few_groups", "grouped", "joined", "sorted_by"]
