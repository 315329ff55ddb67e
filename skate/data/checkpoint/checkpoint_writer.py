"""Notes of the rows that have been written, one file for each task of a write.

A note is pending before the task writes its data, and committed after. A pending one that is found later belongs to a
task that was interrupted: whatever data it left is deleted, and its rows are written again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from skate.data.datasource.files import resolve_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skate.data.checkpoint.interfaces import CheckpointConfig

PENDING_CHECKPOINT_SUFFIX = ".pending"


@dataclass(frozen=True)
class PendingCheckpoint:
    """A note that is not valid yet.

    Attributes:
        pending_path: The file, while it is pending.
        committed_path: The file, once it is valid.
    """

    pending_path: str
    committed_path: str


def notes_folder(config: CheckpointConfig) -> str:
    """The folder of the notes, as their file system writes it."""
    return resolve_paths(config.checkpoint_path, config.filesystem)[0][0].rstrip("/")


class CheckpointWriter:
    """Notes the rows of one task.

    Args:
        config: Where, and which column.
    """

    def __init__(self, config: CheckpointConfig) -> None:
        self.config = config
        self.filesystem = config.filesystem

    @staticmethod
    def create(config: CheckpointConfig) -> CheckpointWriter:
        """The writer for a configuration's backend: the two there are both take files."""
        return BatchBasedCheckpointWriter(config)

    def ids_of(self, blocks: Sequence[pa.Table]) -> pa.ChunkedArray:
        """The identifiers of rows.

        Raises:
            ValueError: the column is not there any more.
        """
        name = self.config.id_column
        for block in blocks:
            if name not in block.column_names:
                raise ValueError(
                    f"ID column {name} is absent in the block to be written, which has {block.column_names}: keep the "
                    "column that `CheckpointConfig.id_column` names through all operators."
                )
        return pa.chunked_array([chunk for block in blocks for chunk in block[name].chunks])

    def write_pending_checkpoint(
        self, id_column_data: pa.Array | pa.ChunkedArray, checkpoint_id: str
    ) -> PendingCheckpoint | None:
        """Write a note that is not valid yet; None if there are no rows."""
        raise NotImplementedError

    def commit_checkpoint(self, pending: PendingCheckpoint) -> None:
        """Make a note valid."""
        raise NotImplementedError


class BatchBasedCheckpointWriter(CheckpointWriter):
    """Keeps notes in Parquet files."""

    def write_pending_checkpoint(
        self, id_column_data: pa.Array | pa.ChunkedArray, checkpoint_id: str
    ) -> PendingCheckpoint | None:
        """Write a note that is not valid yet; None if there are no rows."""
        if len(id_column_data) == 0:
            return None
        folder = notes_folder(self.config)
        self.filesystem.create_dir(folder, recursive=True)
        note = PendingCheckpoint(
            f"{folder}/{checkpoint_id}{PENDING_CHECKPOINT_SUFFIX}.parquet",
            f"{folder}/{checkpoint_id}.parquet",
        )
        table = pa.table({self.config.id_column: id_column_data})
        pq.write_table(table, note.pending_path, filesystem=self.filesystem)
        return note

    def commit_checkpoint(self, pending: PendingCheckpoint) -> None:
        """Make a note valid."""
        self.filesystem.move(pending.pending_path, pending.committed_path)


def clean_pending(
    config: CheckpointConfig, data_dir: str | None, data_filesystem: pafs.FileSystem | None
) -> None:
    """Delete notes that never became valid, and first the data that their tasks left."""
    suffix = f"{PENDING_CHECKPOINT_SUFFIX}.parquet"
    pending = [path for path in _files(config.filesystem, notes_folder(config)) if path.endswith(suffix)]
    if not pending:
        return
    if data_dir is not None:
        names = tuple(path.rpartition("/")[2].removesuffix(suffix) for path in pending)
        held = data_filesystem or config.filesystem
        for path in _files(held, data_dir):
            if any(name in path.rpartition("/")[2] for name in names):
                held.delete_file(path)
    for path in pending:
        config.filesystem.delete_file(path)


def committed_notes(config: CheckpointConfig) -> list[str]:
    """The files of notes that are valid."""
    suffix = f"{PENDING_CHECKPOINT_SUFFIX}.parquet"
    found = [
        path
        for path in _files(config.filesystem, notes_folder(config))
        if path.endswith(".parquet") and not path.endswith(suffix)
    ]
    chosen = config.checkpoint_path_partition_filter
    return found if chosen is None else list(chosen(found))


def delete_notes(config: CheckpointConfig) -> None:
    """Delete all notes; the folder stays."""
    folder = notes_folder(config)
    if config.filesystem.get_file_info(folder).type == pafs.FileType.Directory:
        config.filesystem.delete_dir_contents(folder)


def _files(filesystem: pafs.FileSystem, folder: str) -> list[str]:
    chosen = pafs.FileSelector(folder, recursive=True, allow_not_found=True)
    return sorted(info.path for info in filesystem.get_file_info(chosen) if info.type == pafs.FileType.File)


__all__ = [
    "PENDING_CHECKPOINT_SUFFIX",
    "BatchBasedCheckpointWriter",
    "CheckpointWriter",
    "PendingCheckpoint",
    "clean_pending",
    "committed_notes",
    "delete_notes",
    "notes_folder",
]
