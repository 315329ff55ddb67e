"""Operators that move whole blocks, or work on a stream of them in their own way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.execution import groups, memory, shuffle
from skate.data.execution.bundle import Bundle
from skate.data.execution.native_stage import build, require
from skate.data.execution.rearranging import randomized, repartitioned, zipped
from skate.data.execution.stage import Work, as_task_error, run_stage
from skate.data.execution.stage_stats import StageStats
from skate.data.plan import logical as lg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skate.data.execution.executor import Execution


def _union(run: Execution, op: lg.Union) -> Iterator[Bundle]:
    for child in op.inputs:
        yield from run._stream(child)


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
    lg.Zip: zipped,
    lg.Repartition: repartitioned,
    lg.RandomShuffle: _shuffle,
    lg.RandomizeBlocks: randomized,
    lg.Mix: _mix,
    lg.MapGroups: _map_groups,
    lg.Aggregate: _aggregate,
    lg.Write: _write,
}


__all__ = ["HANDLERS"]
