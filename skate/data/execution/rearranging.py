"""Blocks cut anew, dealt out by keys, put in another order or side by side: of any number, over the disk if need be."""

from __future__ import annotations

import contextlib
import itertools
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from skate.data import convert
from skate.data.context import DataContext
from skate.data.execution import memory
from skate.data.execution import transforms as tf
from skate.data.execution.bundle import Bundle
from skate.data.execution.kept import Kept
from skate.data.execution.native_stage import require
from skate.data.execution.spill import Buckets
from skate.data.plan import logical as lg
from skate.data.plan import native, schemas

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from skate.data.execution.executor import Execution
    from skate.data.plan.native import NativeFrame

_MOST_BUCKETS = 256  # each may be an open file
_PART = "__skate_part__"


class _Rows:
    """Rows taken from tables that come one after the other, any number at a time."""

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        self._tables = iter(tables)
        self._left = pa.table({})

    def take(self, rows: int) -> pa.Table:
        parts = []
        while rows > 0:
            if self._left.num_rows == 0:
                table = next(self._tables, None)
                if table is None:
                    break
                self._left = table
            part = self._left.slice(0, rows)
            self._left = self._left.slice(part.num_rows)
            parts.append(part)
            rows -= part.num_rows
        return convert.concat(parts)


def zipped(run: Execution, op: lg.Zip) -> Iterator[Bundle]:
    """The columns of all inputs, row by row; blocks are cut as those of the first.

    They are read to their ends beforehand, one after the other: pools of actors of several at the same time would wait
    for each other's CPUs. Only the first is read along if the number of its rows is known.
    """
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(Kept(run._stream(child))) for child in op.inputs[1:]]
        known = lg.known_rows(op.inputs[0])
        if known is None:
            kept = stack.enter_context(Kept(run._stream(op.inputs[0])))
            known, tables = kept.rows, kept.tables()
        else:
            tables = (bundle.table for bundle in run._stream(op.inputs[0]))
        _require_equal([known, *(other.rows for other in others)])
        readers = [_Rows(other.tables()) for other in others]
        count = 0
        for table in tables:
            count += table.num_rows
            if table.num_rows and count <= known:
                columns: dict[str, Any] = dict(zip(table.column_names, table.columns, strict=True))
                for reader in readers:
                    part = reader.take(table.num_rows)
                    for name in part.column_names:
                        columns[schemas.fresh_name(name, list(columns))] = part.column(name)
                yield Bundle(pa.table(columns))
        _require_equal(
            [count, *(other.rows for other in others)]
        )  # blocks that failed may have been left out


def _require_equal(counts: Sequence[int]) -> None:
    if len(set(counts)) > 1:
        raise ValueError(
            f"Cannot zip datasets of different number of rows: {', '.join(str(count) for count in counts)}"
        )


def repartitioned(run: Execution, op: lg.Repartition) -> Iterator[Bundle]:
    """The rows in blocks of another number, of another length, or with equal keys together."""
    if op.target_rows is not None:
        yield from _rows_per_block(run._stream(op.inputs[0]), op.target_rows, op.strict)
    elif op.keys:
        frame = run._frame(op.inputs[0])
        if len(frame.schema):
            require(op.keys, frame.schema)
            parts = op.blocks or DataContext.get_current().default_hash_shuffle_parallelism
            yield from _by_hash(frame, op.keys, parts, op.sort)
    else:
        rows = lg.known_rows(op.inputs[0])
        if op.blocks and rows is not None and rows >= op.blocks:
            yield from _cut(_Rows(b.table for b in run._stream(op.inputs[0])), rows, op.blocks, pa.table({}))
        else:
            yield from split_evenly(run._stream(op.inputs[0]), op.blocks)


def split_evenly(bundles: Iterable[Bundle], parts: int | None) -> Iterator[Bundle]:
    """The rows of all blocks in this many of about one size; None for as many as there are."""
    with Kept(bundles) as kept:
        count = parts or max(1, len(kept))
        empty = next((table.slice(0, 0) for table in kept.tables() if table.num_columns), pa.table({}))
        yield from _cut(_Rows(kept.tables()), kept.rows, count, empty)


def _cut(reader: _Rows, rows: int, count: int, empty: pa.Table) -> Iterator[Bundle]:
    edges = [rows * index // count for index in range(count + 1)]
    for start, end in itertools.pairwise(edges):
        yield Bundle(reader.take(end - start) if end > start else empty)
    rest = reader.take(1)
    if rest.num_rows:
        raise ValueError(
            f"repartition: there are more than the {rows} rows that the dataset was known to have."
        )


def _rows_per_block(bundles: Iterator[Bundle], rows: int, strict: bool) -> Iterator[Bundle]:
    if strict:
        for table in tf.rebatch((bundle.table for bundle in bundles), rows):
            yield Bundle(table)
        return
    held: list[pa.Table] = []
    count = 0
    for bundle in bundles:
        held.append(bundle.table)
        count += bundle.rows
        if count >= rows:
            for table in tf.rebatch(iter(held), rows):
                yield Bundle(table)
            held, count = [], 0
    if held:
        yield Bundle(convert.concat(held))


def _by_hash(frame: NativeFrame, keys: Sequence[str], parts: int, sort: bool) -> Iterator[Bundle]:
    """A block for each part. Several parts that are next to each other share a bucket when there are many."""
    numbered = native.hashed(frame, keys, parts, _PART)
    by = [_PART, *keys] if sort else [_PART]
    count = min(parts, _MOST_BUCKETS)
    buckets = Buckets(count, memory.budget())
    try:
        for piece in numbered.frames(memory.piece()):
            if piece.height:
                buckets.deal(piece, piece[_PART].to_numpy() * count // parts)
        for index in range(count):
            first, last = -(-index * parts // count), -(-(index + 1) * parts // count)
            spool = buckets[index]
            if spool.rows:
                whole = native.from_frame(pl.concat(list(spool)), numbered.schema)
                table = native.sorted_by(whole, by, [False] * len(by)).collect()
            else:
                table = numbered.schema.empty_table()
            spool.close()
            edges = np.searchsorted(table.column(_PART).to_numpy(), np.arange(first, last + 1)).tolist()
            rows = table.drop_columns([_PART])
            for start, end in itertools.pairwise(edges):
                yield Bundle(rows.slice(start, end - start))
    finally:
        buckets.close()


def randomized(run: Execution, op: lg.RandomizeBlocks) -> Iterator[Bundle]:
    """The blocks in random order."""
    with Kept(run._stream(op.inputs[0])) as kept:
        order = list(range(len(kept)))
        random.Random(run.seed(op.seed)).shuffle(order)
        for index in order:
            yield kept[index]


__all__ = ["randomized", "repartitioned", "split_evenly", "zipped"]
