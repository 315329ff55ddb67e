"""Writes under a `CheckpointConfig`: rows written before are left out, and those written now are noted.

After a failure nothing is deleted: tasks that still run may end well. The next run deletes what those that did not have left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.checkpoint import checkpoint_writer as notes
from skate.data.checkpoint.checkpoint_filter import (
    CheckpointFilter,
    IdColumnCheckpointManager,
    NumpyArrayBasedCheckpointFilter,
)
from skate.data.datasource.file_datasink import FileDatasink
from skate.data.plan import logical as lg

if TYPE_CHECKING:
    import pyarrow as pa

    from skate.data.checkpoint.interfaces import CheckpointConfig
    from skate.data.context import DataContext


class _Unwritten:
    """A `CheckpointFilter` as a function over blocks; it is made where it runs."""

    def __init__(self, kind: type[CheckpointFilter], config: CheckpointConfig, ref: Any) -> None:
        self._filter = kind(config, ref)

    def __call__(self, block: pa.Table) -> Any:
        return self._filter.filter_rows_for_block(block)


def can_go_on(plan: lg.Operator) -> bool:
    """Whether a rerun of the plan can leave out the rows that were written.

    They are left out right after they are read: so all must be read, and a limit would take others in their place.
    """
    return all(
        isinstance(op, lg.Read) if not op.inputs else not isinstance(op, lg.Limit) for op in lg.walk(plan)
    )


class Checkpoint:
    """The checkpoint of one write.

    Args:
        config: Where it is.
        context: The settings of the dataset.
        sink: What is written to.
    """

    def __init__(self, config: CheckpointConfig, context: DataContext, sink: Any) -> None:
        self.config = config
        self._context = context
        files = sink if isinstance(sink, FileDatasink) else None
        self._folder = None if files is None else files.path
        self._filesystem = None if files is None else files.filesystem

    def without_written(self, plan: lg.Operator) -> tuple[lg.Operator, bool]:
        """The plan with a filter right after each place that reads, and whether anything had been written."""
        manager = (self.config.checkpoint_manager_cls or IdColumnCheckpointManager)(
            checkpoint_config=self.config, data_context=self._context
        )
        ref, _ = manager.load_checkpoint(self._folder, self._filesystem)
        if ref is None:
            return plan, False
        kind = self.config.checkpoint_filter_cls or NumpyArrayBasedCheckpointFilter
        return _filtered(plan, lg.Function(_Unwritten, init_args=(kind, self.config, ref))), True

    def writes(self) -> set[str]:
        """The identifiers of the writes that have left notes."""
        names = (path.rpartition("/")[2] for path in notes.committed_notes(self.config))
        return {name.rpartition("_")[0] for name in names}

    def succeed(self) -> None:
        """After a success: delete the notes, if that is asked for."""
        if self.config.delete_checkpoint_on_success:
            notes.delete_notes(self.config)


def _filtered(op: lg.Operator, function: lg.Function) -> lg.Operator:
    if isinstance(op, lg.Read):
        return lg.MapBatches((op,), function, batch_format="pyarrow", display="CheckpointFilter")
    return op.with_inputs([_filtered(child, function) for child in op.inputs])


__all__ = ["Checkpoint", "can_go_on"]
