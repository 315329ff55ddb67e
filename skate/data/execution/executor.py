"""From a plan to blocks: each operator becomes a native stage, a Python stage, or a few lines over the stream.

Everything is pulled: a stage works when its reader asks for the next block, so nobody runs ahead of memory.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from skate.data import convert
from skate.data.context import DataContext
from skate.data.execution import groups, memory
from skate.data.execution import transforms as tf
from skate.data.execution.bundle import Bundle, split_rows
from skate.data.execution.damage import damage_named
from skate.data.execution.kept import Kept
from skate.data.execution.native_stage import build, nothing, of_nothing
from skate.data.execution.operators import HANDLERS
from skate.data.execution.progress import StageBar
from skate.data.execution.stage import Work, bundle_inputs, run_stage
from skate.data.execution.stage_stats import Made, StageStats
from skate.data.options import seed_of
from skate.data.plan import logical as lg
from skate.data.plan import native, schemas
from skate.data.plan.rules import optimise

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from skate.data.execution.udf import Transform
    from skate.data.plan.native import NativeFrame

_MUCH = 4  # files of more than one part in so many of the memory are read sparingly


class Execution:
    """One run of a plan.

    Args:
        plan: The plan, as the user built it.
        epoch: Which run of the plan it is; the first one is 0.
        seed: Decides what is random and has no seed of its own; None for anything.

    Attributes:
        plan: The plan after the rules.
        epoch: As given.
        stats: What each stage did, in the order they began.
    """

    def __init__(self, plan: lg.Operator, epoch: int = 0, seed: int | None = None) -> None:
        self.plan = optimise(plan)
        self.epoch = epoch
        self._random = random.Random(seed)
        self.stats: list[StageStats] = []

    def seed(self, given: Any) -> int:
        """The number that decides what an operator with this `seed` argument does."""
        number = seed_of(given, self.epoch)
        return self._random.getrandbits(62) if number is None else number

    def bundles(self) -> Iterator[Bundle]:
        """The blocks of the result."""
        return self._stream(self.plan)

    def whole(self) -> Iterator[Bundle]:
        """The blocks of the result, for a reader that keeps all of them anyway."""
        frame = self._native(self.plan, required=False)
        if frame is not None:
            yield from self._timed(self.plan, self._run(self.plan, frame, collect=True))
            return
        yield from self._stream(self.plan)

    # Streams

    def _stream(self, op: lg.Operator) -> Iterator[Bundle]:
        if isinstance(op, lg.InputData):
            return iter(op.bundles)
        if isinstance(op, lg.Limit) and not self._is_native(op):
            return self._limit(op)
        if self._is_native(op):
            frame = self._native(op, required=True)
            if frame is not None:
                return self._timed(op, self._run(op, frame))
        if isinstance(op, (lg.Read, lg.AbstractMap, lg.Project, lg.Filter, lg.RandomSample)):
            return self._python_stage(op)
        handler = HANDLERS.get(type(op))
        if handler is None:
            raise TypeError(f"there is no way to run {op.name}.")
        return self._timed(op, handler(self, op))

    def _timed(self, op: lg.Operator, bundles: Iterator[Bundle]) -> Iterator[Bundle]:
        import time

        stats = StageStats(op.name)
        self.stats.append(stats)
        stats.started = stats.ended = time.perf_counter()
        bar = StageBar(op.name, lg.known_rows(op))
        try:
            for bundle in bundles:
                now = time.perf_counter()
                stats.blocks.append(Made(bundle.rows, bundle.size_bytes, now - stats.ended, 0.0, 0))
                stats.ended = now
                bar.update(bundle.rows)
                yield bundle
        finally:
            bar.close()
        stats.ended = time.perf_counter()

    def _limit(self, op: lg.Limit) -> Iterator[Bundle]:
        left = op.limit
        if left <= 0:
            yield from self._empty(op)
            return
        for bundle in self._stream(op.inputs[0]):
            yield bundle.slice(0, left)
            left -= bundle.rows
            if left <= 0:
                return

    def _empty(self, op: lg.Operator) -> Iterator[Bundle]:
        schema = schemas.infer(op.inputs[0])
        if schema is not None:
            yield Bundle(schema.empty_table())

    # Native stages

    def _is_native(self, op: lg.Operator) -> bool:
        """Whether the native engine runs this operator, and not only could."""
        if isinstance(op, (lg.Sort, lg.Join, lg.Distinct, lg.SQL)):
            return True
        if isinstance(op, lg.Aggregate):
            return groups.is_native(op.aggs)
        if isinstance(op, (lg.Filter, lg.Project, lg.Limit)):
            if getattr(op, "compute", lg.Compute()).explicit:
                return False
            return self._is_native(op.inputs[0]) or self._is_scan(op.inputs[0])
        return isinstance(op, lg.Read) and op.scan is not None

    def _is_scan(self, op: lg.Operator) -> bool:
        return isinstance(op, lg.Read) and op.scan is not None

    def _native(self, op: lg.Operator, required: bool) -> NativeFrame | None:
        """The operator as a computation of the native engine; None if that is not how it runs."""
        if not self._is_native(op):
            return None
        if isinstance(op, lg.Read) and op.scan is not None:
            frame: NativeFrame | None = _scan(op.scan)
            return frame
        if isinstance(op, (lg.Filter, lg.Project, lg.Limit)):
            child = self._native(op.inputs[0], required=False)
            if child is None:
                return None
            if isinstance(op, lg.Limit):
                return native.limited(child, op.limit)
            return (
                native.filtered(child, op.predicate)
                if isinstance(op, lg.Filter)
                else native.projected(child, op.exprs)
            )
        children = [self._frame(child) for child in op.inputs]
        if any(len(child.schema) == 0 for child in children):
            return of_nothing(op, children)
        return build(op, children)

    def _frame(self, op: lg.Operator) -> NativeFrame:
        """The operator's result as an input of the native engine."""
        frame = self._native(op, required=False)
        if frame is not None:
            return frame
        kept = Kept(self._stream(op))
        if not kept.is_on_disk:
            return native.from_table(convert.concat(kept.tables())) if len(kept) else nothing()
        return native.from_kept(kept.schema, kept.tables, kept.size_bytes)

    def _run(self, op: lg.Operator, frame: NativeFrame, collect: bool = False) -> Iterator[Bundle]:
        if len(frame.schema) == 0:
            return
        if collect:
            with damage_named(op):
                table = frame.collect()
            target = DataContext.get_current().target_max_block_size or (1 << 62)
            for part in split_rows(table, target):
                yield Bundle(part)
            return
        with damage_named(op):
            for table in frame.stream(memory.piece()):
                yield Bundle(table)

    # Python stages

    def _python_stage(self, op: lg.Operator) -> Iterator[Bundle]:
        """The longest chain of operators that can run together, as one stage."""
        chain: list[lg.Operator] = []
        compute: lg.Compute | None = None
        at = op
        while isinstance(at, (lg.AbstractMap, lg.Project, lg.Filter, lg.RandomSample)):
            own = getattr(at, "compute", lg.Compute())
            if compute is not None and not _compatible(own, compute):
                break
            if chain and self._is_native(at):
                break
            compute = own if compute is None or own.explicit else compute
            chain.append(at)
            at = at.inputs[0]
        compute = compute or lg.Compute()
        reads = isinstance(at, lg.Read) and (not chain or _read_fits(at, compute, _batch_rows(chain)))
        steps = [_transform(self, step) for step in reversed(chain)]
        name = "->".join(step.name for step in [*([at] if reads else []), *reversed(chain)])
        if isinstance(at, lg.Read) and at.scan is not None and _is_streamed(at.scan, compute, chain):
            work: Iterator[Work] = (
                Work(Bundle(table), None, table.nbytes) for table in _scan(at.scan).growing(memory.piece())
            )
        elif reads and isinstance(at, lg.Read):
            work = _read_work(at)
            if not chain:
                compute = _read_compute(at)
        else:
            work = (Work(b, None, b.size_bytes, b.files) for b in self._stream(at))
            rows = _batch_rows(chain)
            if rows:
                work = bundle_inputs(work, rows)
        stats = StageStats(name, lg.known_rows(op))
        self.stats.append(stats)
        return run_stage(name, steps, compute, work, stats)


def _scan(files: lg.ParquetScan) -> NativeFrame:
    return native.scan(files, sparing=files.size_bytes > memory.limit() // _MUCH)


def _compatible(lower: lg.Compute, upper: lg.Compute) -> bool:
    """Whether two functions can run in one task or actor."""
    if lower.pool is not None:
        return False  # a pool of its own for each class: its size was chosen for it
    if lower.explicit and upper.explicit:
        return lower == upper
    return not lower.explicit


def _batch_rows(chain: Sequence[lg.Operator]) -> int:
    """The rows that an input of the chain must have for batches to be full; 0 if that is no matter."""
    return max((op.batch_size or 0 for op in chain if isinstance(op, lg.MapBatches)), default=0)


def _read_fits(read: lg.Read, compute: lg.Compute, rows: int) -> bool:
    """Whether a read task can run in one task with what follows."""
    if compute.pool is not None or read.concurrency is not None or read.options:
        return False
    return rows == 0 or (read.rows is not None and read.rows // max(1, read.blocks) >= rows)


def _is_streamed(scan: lg.ParquetScan, compute: lg.Compute, chain: Sequence[lg.Operator]) -> bool:
    """Whether the native engine reads the files for functions that may be quick enough to run beside it."""
    is_large = scan.size_bytes > native.SMALL_BYTES
    return bool(chain) and is_large and not compute.explicit and not _batch_rows(chain)


def _read_compute(read: lg.Read) -> lg.Compute:
    asked = read.concurrency is not None or bool(read.options)
    return lg.Compute(read.concurrency, None, read.options, None, asked)


def _read_work(read: lg.Read) -> Iterator[Work]:
    for task in read.source(read.blocks):
        meta = task.metadata
        yield Work(None, task, meta.size_bytes or 0, tuple(meta.input_files or ()))


def _transform(run: Execution, op: lg.Operator) -> Transform:
    target = DataContext.get_current().target_max_block_size or (1 << 62)
    if isinstance(op, lg.MapBatches):
        return tf.MapBatchesTransform(
            op.name, op.function, None, op.batch_size, op.batch_format, op.zero_copy
        )
    if isinstance(op, lg.FlatMap):
        return tf.FlatMapTransform(op.name, op.function, None, target)
    if isinstance(op, lg.MapRows):
        return tf.MapRowsTransform(op.name, op.function, None, target)
    if isinstance(op, lg.FilterRows):
        return tf.FilterRowsTransform(op.name, op.function)
    if isinstance(op, lg.Project):
        return tf.ProjectTransform(op.name, op.exprs)
    if isinstance(op, lg.Filter):
        return tf.FilterTransform(op.name, op.predicate)
    if isinstance(op, lg.RandomSample):
        return tf.SampleTransform(op.name, op.fraction, run.seed(op.seed))
    raise TypeError(f"{op.name} is no step of a Python stage.")


__all__ = ["Execution"]
