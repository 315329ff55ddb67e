"""Reading notes of written rows, and leaving those rows out: managers and filters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

import skate
from skate.data.block import Block, BlockAccessor, BlockMetadata
from skate.data.checkpoint import checkpoint_writer as notes
from skate.data.convert import concat

if TYPE_CHECKING:
    import pyarrow.fs as pafs

    from skate.data.checkpoint.interfaces import CheckpointConfig
    from skate.data.context import DataContext
    from skate.data.dataset import Dataset


class CheckpointManager(ABC):  # noqa: B024 - it can be instantiated, as Ray's can
    """Reads the notes of rows that have been written. Subclasses override `load_checkpoint` or parts of it.

    Args:
        checkpoint_config: Where the notes are.
        data_context: The settings of the dataset that is written.
    """

    def __init__(self, checkpoint_config: CheckpointConfig, data_context: DataContext) -> None:
        self.checkpoint_config = checkpoint_config
        self.data_context = data_context
        self.checkpoint_path = checkpoint_config.checkpoint_path
        self.id_column = checkpoint_config.id_column
        self.filesystem = checkpoint_config.filesystem

    def load_checkpoint(
        self, data_file_dir: str | None = None, data_file_filesystem: pafs.FileSystem | None = None
    ) -> tuple[skate.ObjectRef[Any] | None, int]:
        """The identifiers of rows that have been written.

        What tasks that were interrupted left behind is deleted first.

        Args:
            data_file_dir: The folder that data is written to.
            data_file_filesystem: Its file system; default: that of the notes.

        Returns:
            A reference to what the filter takes, here a sorted NumPy array, and its size in bytes; `(None, 0)` if
            nothing has been written.
        """
        self._clean_pending_checkpoints(data_file_dir, data_file_filesystem)
        files = notes.committed_notes(self.checkpoint_config)
        if not files:
            return None, 0
        table = self._read(files)
        ids = BlockAccessor.for_block(table).to_numpy(self.id_column)
        ids = np.sort(np.asarray(ids))
        return skate.put(ids), ids.nbytes

    def _read(self, files: list[str]) -> pa.Table:
        from skate.data.read_api import read_parquet

        dataset = self._preprocess_data_pipeline(
            read_parquet(files, filesystem=self.filesystem, columns=[self.id_column])
        )
        table = concat([bundle.table for bundle in dataset._execute(whole=True)])
        metadata = BlockMetadata(
            num_rows=table.num_rows, size_bytes=table.nbytes, exec_stats=None, input_files=None
        )
        self._validate_loaded_checkpoint(table.schema, metadata)
        return table

    def _clean_pending_checkpoints(
        self, data_file_dir: str | None, data_file_filesystem: pafs.FileSystem | None = None
    ) -> None:
        notes.clean_pending(self.checkpoint_config, data_file_dir, data_file_filesystem)

    def _preprocess_data_pipeline(self, checkpoint_ds: Dataset) -> Dataset:
        """A place for subclasses to change the dataset of identifiers."""
        return checkpoint_ds

    def _validate_loaded_checkpoint(self, schema: pa.Schema, metadata: BlockMetadata) -> None:  # noqa: B027
        """A place for subclasses to look at what was read."""


class IdColumnCheckpointManager(CheckpointManager):
    """Reads notes of a plain column of identifiers."""


class CheckpointFilter(ABC):
    """Leaves out rows that have been written.

    Args:
        config: The configuration.
        checkpoint_ref: What the manager's `load_checkpoint` returned.
    """

    def __init__(self, config: CheckpointConfig, checkpoint_ref: skate.ObjectRef[Any] | None = None) -> None:
        self.checkpoint_config = config
        self.checkpoint_ref = checkpoint_ref
        self.id_column = config.id_column

    @abstractmethod
    def filter_rows_for_block(self, block: Block) -> Block:
        """The rows of a block that have not been written."""


class NumpyArrayBasedCheckpointFilter(CheckpointFilter):
    """Looks identifiers up in a sorted array.

    Args:
        checkpoint_config: The configuration.
        checkpoint_ref: A reference to the array.
    """

    def __init__(self, checkpoint_config: CheckpointConfig, checkpoint_ref: skate.ObjectRef[Any]) -> None:
        super().__init__(checkpoint_config, checkpoint_ref)
        self.checkpointed_ids: Any = skate.get(checkpoint_ref)

    def filter_rows_for_block(self, block: Block) -> Block:
        """The rows of a block that have not been written.

        Raises:
            ValueError: the block has no column of identifiers.
        """
        accessor = BlockAccessor.for_block(block)
        if accessor.num_rows() == 0:
            return block
        table = accessor.to_arrow()
        if self.id_column not in table.column_names:
            raise ValueError(
                f"ID column {self.id_column!r}, by which written rows are found again, is not among the columns that are "
                f"read: {table.column_names}. Name one of them in `CheckpointConfig.id_column`."
            )
        done, ids = self.checkpointed_ids, np.asarray(accessor.to_numpy(self.id_column))
        at = np.searchsorted(done, ids)
        fresh = np.ones(len(ids), dtype=bool)
        inside = at < len(done)
        fresh[inside] = done[at[inside]] != ids[inside]
        return table.filter(pa.array(fresh))


__all__ = [
    "CheckpointFilter",
    "CheckpointManager",
    "IdColumnCheckpointManager",
    "NumpyArrayBasedCheckpointFilter",
]
