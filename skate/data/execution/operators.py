"""Operators that move whole blocks, or work on a stream of them in their own way."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from skate.data import convert
from skate.data.context import DataContext
from skate.data.execution import groups, memory, shuffle
from skate.data.execution import transforms as tf
from skate.data.execution.bundle import Bundle
from skate.data.execution.native_stage import build, require
from skate.data.execution.stage import Work, as_task_error, run_stage
from skate.data.execution.stage_stats import StageStats
from skate.data.plan import logical as lg
from skate.data.plan import native, schemas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skate.data.execution.executor import Execution


def _union(run: Execution, op: lg.Union) -> Iterator[Bundle]:
    for child in op.inputs:
        yield from run._stream(child)


def _zip(run: Execution, op: lg.Zip) -> Iterator[Bundle]:
    sides = [[b for b in run._stream(child) if b.rows] for child in op.inputs]
    counts = [sum(b.rows for b in side) for side in sides]
    if len(set(counts)) > 1:
        raise ValueError(
            f"Cannot zip datasets of different number of rows: {', '.join(str(count) for count in counts)}"
        )
    readers = [_Rows(side) for side in sides[1:]]
    for bundle in sides[0]:
        columns: dict[str, Any] = dict(zip(bundle.table.column_names, bundle.table.columns, strict=True))
        for reader in readers:
            part = reader.take(bundle.rows)
            for name in part.column_names:
                columns[schemas.fresh_name(name, list(columns))] = part.column(name)
        yield Bundle(pa.table(columns))


class _Rows:
    """Rows taken from a list of bundles, any number at a time."""

    def __init__(self, bundles: list[Bundle]) -> None:
        self._bundles, self._index, self._offset = bundles, 0, 0

    def take(self, rows: int) -> pa.Table:
        parts = []
        while rows > 0 and self._index < len(self._bundles):
            table = self._bundles[self._index].table
            part = table.slice(self._offset, rows)
            parts.append(part)
            rows -= part.num_rows
            self._offset += part.num_rows
            if self._offset >= table.num_rows:
                self._index, self._offset = self._index + 1, 0
        return convert.concat(parts)


def _repartition(run: Execution, op: lg.Repartition) -> Iterator[Bundle]:
    child = op.inputs[0]
    if op.target_rows is not None:
        yield from _rows_per_block(run._stream(child), op.target_rows, op.strict)
        return
    if op.keys:
        yield from _by_hash(run, op)
        return
    bundles = list(run._stream(child))
    yield from split_evenly(bundles, op.blocks or max(1, len(bundles)))


def split_evenly(bundles: list[Bundle], parts: int) -> Iterator[Bundle]:
    """The rows of all bundles in this many blocks of about one size."""
    total = sum(bundle.rows for bundle in bundles)
    reader = _Rows([bundle for bundle in bundles if bundle.rows])
    empty = next(
        (b.table.slice(0, 0) for b in bundles if b.schema is not None and len(b.schema)), pa.table({})
    )
    edges = [total * index // parts for index in range(parts + 1)]
    for start, end in itertools.pairwise(edges):
        yield Bundle(reader.take(end - start) if end > start else empty)


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


def _by_hash(run: Execution, op: lg.Repartition) -> Iterator[Bundle]:
    parts = op.blocks or DataContext.get_current().default_hash_shuffle_parallelism
    frame = run._frame(op.inputs[0])
    if len(frame.schema) == 0:
        return
    require(op.keys, frame.schema)
    part = "__skate_part__"
    keys = [part, *op.keys] if op.sort else [part]
    ordered = native.sorted_by(native.hashed(frame, op.keys, parts, part), keys, [False] * len(keys))
    table = ordered.collect()
    numbers = table.column(part).to_numpy()
    rows = table.drop_columns([part])
    edges = np.searchsorted(numbers, np.arange(parts + 1))
    for start, end in itertools.pairwise(edges.tolist()):
        yield Bundle(rows.slice(start, end - start))


def _randomize(run: Execution, op: lg.RandomizeBlocks) -> Iterator[Bundle]:
    bundles = list(run._stream(op.inputs[0]))
    random.Random(run.seed(op.seed)).shuffle(bundles)
    yield from bundles


def _shuffle(run: Execution, op: lg.RandomShuffle) -> Iterator[Bundle]:
    frame = run._frame(op.inputs[0])
    if len(frame.schema) == 0:
        return
    seed = run.seed(op.seed) & ((1 << 62) - 1)
    seen = False
    for part in shuffle.shuffled(frame.frames(memory.piece()), frame.size_bytes, seed):
        seen = True
        yield Bundle(frame.finish(part))
    if not seen:
        yield Bundle(frame.schema.empty_table())


def _mix(run: Execution, op: lg.Mix) -> Iterator[Bundle]:
    from skate.data.execution.mixing import mixed

    yield from mixed([run._stream(child) for child in op.inputs], list(op.weights), op.stop)


def _map_groups(run: Execution, op: lg.MapGroups) -> Iterator[Bundle]:
    frame = run._frame(op.inputs[0])
    if len(frame.schema) == 0:
        return
    require(op.keys, frame.schema)
    ordered = build(lg.Sort((), op.keys, (False,) * len(op.keys)), [frame]) if op.keys else frame
    work = groups.whole_groups(ordered.stream(memory.piece()), op.keys)
    step = groups.MapGroupsTransform(op.name, op.function, None, op.keys, op.batch_format)
    stats = StageStats(op.name)
    run.stats.append(stats)
    inputs = (Work(Bundle(table), None, table.nbytes) for table in work)
    yield from run_stage(op.name, [step], op.compute, inputs, stats)


def _aggregate(run: Execution, op: lg.Aggregate) -> Iterator[Bundle]:
    try:
        table = groups.aggregate_blocks(
            (bundle.table for bundle in run._stream(op.inputs[0])), op.keys, op.aggs
        )
    except ValueError:
        raise
    except Exception as error:
        raise as_task_error(op.name, error) from error
    yield Bundle(table)


def _write(run: Execution, op: lg.Write) -> Iterator[Bundle]:
    from skate.data.execution.writing import write

    yield from write(run, op)


HANDLERS: dict[type, Callable[[Execution, Any], Iterator[Bundle]]] = {
    lg.Union: _union,
    lg.Zip: _zip,
    lg.Repartition: _repartition,
    lg.RandomShuffle: _shuffle,
    lg.RandomizeBlocks: _randomize,
    lg.Mix: _mix,
    lg.MapGroups: _map_groups,
    lg.Aggregate: _aggregate,
    lg.Write: _write,
}


__all__ = ["HANDLERS", "split_evenly"]
