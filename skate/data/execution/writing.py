"""Writing a dataset: blocks are gathered to the sizes that the sink wants, and written in this process or in tasks."""

from __future__ import annotations

import dataclasses
import itertools
import os
import uuid
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cloudpickle
import pyarrow as pa

from skate.data import convert
from skate.data.checkpoint.checkpoint_writer import CheckpointWriter
from skate.data.checkpoint.interfaces import InvalidCheckpointingOperators
from skate.data.context import DataContext
from skate.data.datasource.datasink import Datasink, TaskContext, WriteResult
from skate.data.datasource.file_datasink import FileDatasink
from skate.data.datasource.parquet_datasink import ParquetDatasink
from skate.data.execution.bundle import Bundle
from skate.data.execution.checkpointing import Checkpoint, can_go_on
from skate.data.execution.damage import damage_named
from skate.data.execution.stage import Work, run_stage
from skate.data.execution.stage_stats import StageStats
from skate.data.execution.transforms import rebatch
from skate.data.execution.udf import Transform
from skate.data.plan import logical as lg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skate.data.checkpoint.interfaces import CheckpointConfig
    from skate.data.execution.executor import Execution

_FILE_BYTES = 128 << 20  # blocks are gathered to about this size before they are written


@dataclass
class _WriteTransform(Transform):
    """Gives each input to the sink, and passes on what it returned. Inputs carry their number in the schema."""

    sink: Any = None
    write_uuid: str = ""
    checkpoint: CheckpointConfig | None = None

    def __call__(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        blocks = list(tables)
        number = int((blocks[0].schema.metadata or {}).get(b"skate.task", b"0")) if blocks else 0
        blocks = [block.replace_schema_metadata(None) for block in blocks]
        context = TaskContext(number, self.name, {"write_uuid": self.write_uuid})
        writer = None if self.checkpoint is None else CheckpointWriter.create(self.checkpoint)
        note = None
        if writer is not None:
            note = writer.write_pending_checkpoint(writer.ids_of(blocks), f"{self.write_uuid}_{number:06}")
        returned = self.sink.write(iter(blocks), context)
        if writer is not None and note is not None:
            writer.commit_checkpoint(note)
        yield pa.table(
            {
                "num_rows": [sum(block.num_rows for block in blocks)],
                "size_bytes": [sum(block.nbytes for block in blocks)],
                "write_return": pa.array([cloudpickle.dumps(returned)], pa.binary()),
            }
        )


def write(run: Execution, op: lg.Write) -> Iterator[Bundle]:
    """Write the input to the sink; the rows of the result are what its writes returned."""
    sink: Datasink[Any] = op.datasink
    _check_sink(sink)
    sink.on_write_start(lg.known_schema(op.inputs[0]))
    write_uuid = uuid.uuid4().hex
    checkpoint = _checkpoint(sink, op.inputs[0])
    try:
        if checkpoint is not None:
            plan, continues = checkpoint.without_written(op.inputs[0])
            op = dataclasses.replace(op, inputs=(plan,))
            if continues and isinstance(sink, FileDatasink):
                sink.keep_existing(checkpoint.writes())
        elif isinstance(sink, ParquetDatasink) and sink.is_plain and not op.compute.explicit:
            native = _native_write(run, op.inputs[0], sink, write_uuid)
            if native is not None:
                sink.on_write_complete(native)
                return
        bundles = list(_write_blocks(run, op, sink, write_uuid, checkpoint))
        returns = [_read_return(bundle.table) for bundle in bundles]
        sink.on_write_complete(WriteResult.combine(*returns) if returns else WriteResult(0, 0, []))
        if checkpoint is not None:
            checkpoint.succeed()
    except BaseException as error:
        if isinstance(sink, FileDatasink) and checkpoint is None:
            sink.remove_written(write_uuid)
        if isinstance(error, Exception):
            sink.on_write_failed(error)
        raise
    yield from bundles


def _check_sink(sink: Datasink[Any]) -> None:
    """Refuse a checkpoint of rows that can still be lost when their task, which notes them, has ended."""
    if DataContext.get_current().checkpoint_config is None or isinstance(sink, FileDatasink):
        return
    if type(sink).on_write_complete is not Datasink.on_write_complete:
        raise InvalidCheckpointingOperators(
            f"{sink.get_name()} makes rows visible when all tasks have ended (`on_write_complete`), but a checkpoint takes "
            "them for written when their task has: set `DataContext.checkpoint_config` to None for this write."
        )


def _checkpoint(sink: Datasink[Any], plan: lg.Operator) -> Checkpoint | None:
    """The checkpoint that the settings ask for, unless the sink writes nothing or the plan can't go on where it was."""
    context = DataContext.get_current()
    if context.checkpoint_config is None or (isinstance(sink, FileDatasink) and sink._skip_write):
        return None
    if not can_go_on(plan):
        warnings.warn(
            "Checkpointing will be disabled for this write, which begins anew if it is run again: a checkpoint needs rows "
            "that are all read (`read_*`, `range`), not blocks that were there before, and no `limit`.",
            stacklevel=2,
        )
        return None
    return Checkpoint(context.checkpoint_config, context, sink)


def _read_return(table: pa.Table) -> WriteResult[Any]:
    row = table.to_pylist()[0]
    return WriteResult(row["num_rows"], row["size_bytes"], [cloudpickle.loads(row["write_return"])])


def _native_write(
    run: Execution, op: lg.Operator, sink: ParquetDatasink, write_uuid: str
) -> WriteResult[list[str]] | None:
    """Let the native engine write its own result to a file, without a way through this process."""
    import polars as pl

    if sink._skip_write:
        return WriteResult(0, 0, [])
    frame = run._native(op, required=False)
    if frame is None or any(isinstance(field.type, pa.BaseExtensionType) for field in frame.schema):
        return None
    name = sink.file_name(None, write_uuid, 0, 0)
    partial, final = f"{sink.path}/.{name}.partial", f"{sink.path}/{name}"
    try:
        with damage_named(op):
            frame.frame.sink_parquet(partial, compression="snappy", arrow_schema=None)
        rows = pl.scan_parquet(partial).select(pl.len()).collect().item()
        os.replace(partial, final)
    finally:
        if os.path.exists(partial):
            os.remove(partial)
    return WriteResult(rows, os.path.getsize(final), [[final]])


def _write_blocks(
    run: Execution, op: lg.Write, sink: Datasink[Any], write_uuid: str, checkpoint: Checkpoint | None
) -> Iterator[Bundle]:
    step = _WriteTransform(op.name, sink, write_uuid, None if checkpoint is None else checkpoint.config)
    stats = StageStats(op.name)
    run.stats.append(stats)
    work = _numbered(_gathered(run._stream(op.inputs[0]), sink))
    yield from run_stage(op.name, [step], op.compute, work, stats)


def _gathered(bundles: Iterator[Bundle], sink: Datasink[Any]) -> Iterator[Bundle]:
    """Blocks in pieces of at least as many rows or bytes as the sink asks for; small blocks stay as they are otherwise."""
    least, least_bytes = sink.min_rows_per_write, sink.min_bytes_per_write
    if least is None and least_bytes is not None:
        yield from _of_bytes(bundles, least_bytes)
        return
    if least is None:
        yield from (bundle for bundle in bundles if bundle.rows)
        return
    tables = (bundle.table for bundle in bundles)
    for table in rebatch(tables, least):
        if table.num_rows:
            yield Bundle(table)


def _of_bytes(bundles: Iterator[Bundle], least: int) -> Iterator[Bundle]:
    held: list[pa.Table] = []
    size = 0
    for bundle in bundles:
        if bundle.rows:
            held.append(bundle.table)
            size += bundle.size_bytes
        if size >= least:
            yield Bundle(convert.concat(held))
            held, size = [], 0
    if held:
        yield Bundle(convert.concat(held))


def _numbered(bundles: Iterator[Bundle]) -> Iterator[Work]:
    for number, bundle in zip(itertools.count(), bundles, strict=False):
        metadata = {**(bundle.table.schema.metadata or {}), b"skate.task": str(number).encode()}
        yield Work(Bundle(bundle.table.replace_schema_metadata(metadata)), None, bundle.size_bytes)


__all__ = ["write"]
