"""What is known about blocks: their size, where they come from, how they were made."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import skate

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa


class CustomOpStats:
    """Base of what an operator reports of its tasks beyond what all do."""


@dataclass
class TaskExecWorkerStats:
    """What a task's worker reports of it.

    Attributes:
        task_wall_time_s: Seconds that passed.
        max_uss_bytes: Most memory that the process held for itself, in bytes; None if it was not measured.
        custom_op_stats: What operators have to say.
    """

    task_wall_time_s: float
    max_uss_bytes: int | None = None
    custom_op_stats: list[CustomOpStats] = field(default_factory=list)


def _this_node() -> str | None:
    return skate.get_runtime_context().get_node_id() if skate.is_initialized() else None


@dataclass
class BlockExecStats:
    """How a block was made.

    Attributes:
        task_idx: Which of the stage's tasks made it.
        node_id: The machine.
        start_time_s: When it was begun, in seconds of a clock that only runs forward.
        end_time_s: When it was ready.
        wall_time_s: Seconds that passed.
        block_transform_time_s: Seconds in the stage's functions.
        input_prep_time_s: Seconds for making batches.
        function_body_time_s: Seconds in the user's function.
        output_build_time_s: Seconds for making the block of what came out.
        stage_time_s: Seconds in each of several functions that run one after the other.
        block_ser_time_s: Seconds for storing it.
        cpu_time_s: Seconds of CPU time.
    """

    task_idx: int | None = None
    node_id: str | None = field(default_factory=_this_node)
    start_time_s: float | None = None
    end_time_s: float | None = None
    wall_time_s: float | None = None
    block_transform_time_s: float | None = 0
    input_prep_time_s: float | None = None
    function_body_time_s: float | None = None
    output_build_time_s: float | None = None
    stage_time_s: tuple[float, ...] | None = None
    block_ser_time_s: float | None = None
    cpu_time_s: float | None = None

    @staticmethod
    def builder() -> _Stopwatch:
        """A stopwatch that runs from now on: its `build` gives the times."""
        return _Stopwatch()


class _Stopwatch:
    def __init__(self) -> None:
        self._start, self._start_cpu = time.perf_counter(), time.process_time()
        self._end: tuple[float, float] | None = None

    def finish(self) -> None:
        """Stop it."""
        self._end = (time.perf_counter(), time.process_time())

    def build(self, **more: Any) -> BlockExecStats:
        """The times until it was stopped, or until now.

        Args:
            more: Other fields of `BlockExecStats`.
        """
        end, cpu = self._end or (time.perf_counter(), time.process_time())
        return BlockExecStats(
            start_time_s=self._start,
            end_time_s=end,
            wall_time_s=end - self._start,
            cpu_time_s=cpu - self._start_cpu,
            **more,
        )


@dataclass
class BlockStats:
    """The size of a block.

    Attributes:
        num_rows: Rows, or None if unknown.
        size_bytes: Bytes in memory, or None if unknown.
        exec_stats: How it was made, or None.
        task_exec_stats: What its task's worker reported, or None.
    """

    num_rows: int | None
    size_bytes: int | None
    exec_stats: BlockExecStats | None = None
    task_exec_stats: TaskExecWorkerStats | None = None


@dataclass
class BlockMetadata(BlockStats):
    """What is known of a block without reading it.

    Attributes:
        input_files: The files that it was read from; None if that is unknown.
    """

    input_files: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.input_files is not None:
            self.input_files = tuple(self.input_files)

    def to_stats(self) -> BlockStats:
        """The part that statistics need."""
        return BlockStats(**{f.name: getattr(self, f.name) for f in fields(BlockStats)})


@dataclass
class BlockMetadataWithSchema(BlockMetadata):
    """A block's metadata together with its schema."""

    schema: pa.Schema | None = None

    @staticmethod
    def from_metadata(metadata: BlockMetadata, schema: pa.Schema | None = None) -> BlockMetadataWithSchema:
        """Metadata and a schema in one."""
        known = {f.name: getattr(metadata, f.name) for f in fields(BlockMetadata)}
        return BlockMetadataWithSchema(**known, schema=schema)

    @staticmethod
    def from_block(
        block: Any,
        block_exec_stats: BlockExecStats | None = None,
        task_exec_stats: TaskExecWorkerStats | None = None,
    ) -> BlockMetadataWithSchema:
        """What there is to know of a block."""
        from skate.data.block import BlockAccessor

        accessor = BlockAccessor.for_block(block)
        known = accessor.get_metadata(block_exec_stats=block_exec_stats, task_exec_stats=task_exec_stats)
        return BlockMetadataWithSchema.from_metadata(known, accessor.schema())

    @property
    def metadata(self) -> BlockMetadata:
        """Everything but the schema."""
        return BlockMetadata(**{f.name: getattr(self, f.name) for f in fields(BlockMetadata)})


def to_stats(metas: list[BlockMetadata]) -> list[BlockStats]:
    """The statistics of each."""
    return [meta.to_stats() for meta in metas]


__all__ = [
    "BlockExecStats",
    "BlockMetadata",
    "BlockMetadataWithSchema",
    "BlockStats",
    "CustomOpStats",
    "TaskExecWorkerStats",
    "to_stats",
]
