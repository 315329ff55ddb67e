"""Base classes of sinks that write files.

A file appears under its name when it is complete, and a write that fails takes its files away again, so that it can be
run once more.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.fs as pafs

from skate.data.block import Block, BlockAccessor
from skate.data.datasource import files as fs
from skate.data.datasource.datasink import Datasink, TaskContext, WriteResult
from skate.data.datasource.filename_provider import FilenameProvider
from skate.data.datasource.retry import with_retries
from skate.data.options import SaveMode

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable


class FileDatasink(Datasink["list[str]"]):
    """Base of sinks that write files into a folder. `write` returns the files that it wrote.

    Args:
        path: The folder, or its address.
        filesystem: An Arrow or fsspec file system; None finds one by the address.
        try_create_dir: Whether to make the folder.
        open_stream_args: Arguments of the file system's `open_output_stream`.
        filename_provider: Names the files.
        dataset_uuid: Part of the names.
        file_format: The ending of the names.
        mode: What to do where something is already.
    """

    def __init__(
        self,
        path: str,
        *,
        filesystem: Any = None,
        try_create_dir: bool = True,
        open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        dataset_uuid: str | None = None,
        file_format: str | None = None,
        mode: SaveMode = SaveMode.APPEND,
    ) -> None:
        paths, self.filesystem = fs.resolve_paths(path, filesystem)
        self.path = paths[0].rstrip("/") or "/"
        self.unresolved_path = path
        self.try_create_dir = try_create_dir
        self.open_stream_args = dict(open_stream_args or {})
        self.dataset_uuid = dataset_uuid
        self.file_format = file_format
        self.mode = SaveMode(mode)
        self.filename_provider = filename_provider or FilenameProvider(dataset_uuid, file_format)
        self.has_created_dir = False
        self._skip_write = False
        self._replaced: list[tuple[str, int | None]] = []
        self._written: list[str] = []

    def on_write_start(self, schema: Any = None) -> None:
        """Make the folder, or refuse what is there, as the mode says.

        Raises:
            ValueError: there is something, and the mode is ERROR or CREATE.
        """
        info = self.filesystem.get_file_info(self.path)
        exists = info.type != pafs.FileType.NotFound
        if exists and self.mode in (SaveMode.ERROR, SaveMode.CREATE):
            raise ValueError(
                f"Path {self.path} already exists. If this is unexpected, use mode='ignore' to ignore those files, or "
                "mode='overwrite' to replace them."
            )
        self._skip_write = exists and self.mode is SaveMode.IGNORE
        if exists and self.mode is SaveMode.OVERWRITE and info.type == pafs.FileType.Directory:
            self._replaced = self._files()
        if self.try_create_dir and not exists:
            self.filesystem.create_dir(self.path, recursive=True)
            self.has_created_dir = True

    def _files(self) -> list[tuple[str, int | None]]:
        """What is in the folder, with the times of the last change."""
        found = self.filesystem.get_file_info(pafs.FileSelector(self.path, recursive=True))
        return [(info.path, info.mtime_ns) for info in found if info.type == pafs.FileType.File]

    def open_output_stream(self, path: str) -> Any:
        """A stream to a file."""
        return self.filesystem.open_output_stream(path, **self.open_stream_args)

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> list[str]:
        """Write the blocks of a task."""
        self._written = []
        if not self._skip_write:
            for index, block in enumerate(blocks):
                if block.num_rows:
                    self.write_block(BlockAccessor.for_block(block), index, ctx)
        return self._written

    def write_block(self, block: BlockAccessor, block_index: int, ctx: TaskContext) -> None:
        """Write a block."""
        raise NotImplementedError

    def write_file(self, name: str, write: Callable[[Any], None]) -> None:
        """Write a file of the folder; it appears when it is complete.

        Raises:
            OSError: it can't be written; then nothing of it is left.
        """
        final = f"{self.path}/{name}"
        if isinstance(self.filesystem, pafs.LocalFileSystem):
            with_retries(f"writing {final}", lambda: self._write_and_rename(final, write))
        else:
            # A stream to an object store that is closed, for whatever reason, makes the object: so all of it is ready first.
            buffer = pa.BufferOutputStream()
            write(buffer)
            content = buffer.getvalue()
            with_retries(f"writing {final}", lambda: self._send(final, content))
        self._written.append(final)

    def _write_and_rename(self, final: str, write: Callable[[Any], None]) -> None:
        folder, base = os.path.split(final)
        partial = f"{folder}/.partial-{os.getpid()}-{base}"  # its ending says how it is compressed
        try:
            with self.open_output_stream(partial) as stream:
                write(stream)
            self.filesystem.move(partial, final)
        except BaseException:
            if self.filesystem.get_file_info(partial).type == pafs.FileType.File:
                self.filesystem.delete_file(partial)
            raise

    def _send(self, final: str, content: pa.Buffer) -> None:
        with self.open_output_stream(final) as stream:
            stream.write(content)

    def on_write_complete(self, write_result: WriteResult[list[str]]) -> None:
        """Take away what the new files replace, or the folder if nothing was written into it."""
        if self.has_created_dir and write_result.num_rows == 0:
            self.filesystem.delete_dir(self.path)
            return
        if self._replaced:
            written = {path for paths in write_result.write_returns for path in paths or ()}
            now = dict(self._files())
            for path, changed in self._replaced:
                if path not in written and path in now and now[path] == changed:
                    self.filesystem.delete_file(path)

    def keep_existing(self, writes: Collection[str]) -> None:
        """Replace no file of writes that this one goes on with; nothing at all if none of theirs are here.

        Args:
            writes: The identifiers of those writes, which are part of their files' names.
        """
        others = [entry for entry in self._replaced if not _is_of(entry[0], writes)]
        self._replaced = others if len(others) < len(self._replaced) else []

    def remove_written(self, write_uuid: str) -> None:
        """Take away the files of a write that has failed, whole and partial, by the identifier in their names."""
        if self.filesystem.get_file_info(self.path).type != pafs.FileType.Directory:
            return
        for path, _ in self._files():
            if _is_of(path, [write_uuid]):
                self.filesystem.delete_file(path)

    @property
    def supports_distributed_writes(self) -> bool:
        """Whether other machines could write to it: not to this machine's folders."""
        return not isinstance(self.filesystem, pafs.LocalFileSystem)


def _is_of(path: str, writes: Collection[str]) -> bool:
    """Whether one of the writes made the file, by the identifier in its name."""
    name = path.rpartition("/")[2]
    return any(write in name for write in writes)


class BlockBasedFileDatasink(FileDatasink):
    """Writes a file for each block.

    Args:
        path: The folder.
        min_rows_per_file: The least number of rows of a file.
        file_datasink_kwargs: As for all file sinks.
    """

    def __init__(
        self, path: str, *, min_rows_per_file: int | None = None, **file_datasink_kwargs: Any
    ) -> None:
        super().__init__(path, **file_datasink_kwargs)
        self._min_rows_per_file = min_rows_per_file

    def write_block_to_file(self, block: BlockAccessor, file: Any) -> None:
        """Write a block to an open file."""
        raise NotImplementedError

    def write_block(self, block: BlockAccessor, block_index: int, ctx: TaskContext) -> None:
        """Write a block to a file."""
        name = self.filename_provider.get_filename_for_block(
            block.to_block(), ctx.kwargs["write_uuid"], ctx.task_idx, block_index
        )
        self.write_file(name, lambda file: self.write_block_to_file(block, file))

    @property
    def min_rows_per_write(self) -> int | None:
        """The least number of rows of a file."""
        return self._min_rows_per_file


class RowBasedFileDatasink(FileDatasink):
    """Writes a file for each row."""

    def write_row_to_file(self, row: dict[str, Any], file: Any) -> None:
        """Write a row to an open file."""
        raise NotImplementedError

    def write_block(self, block: BlockAccessor, block_index: int, ctx: TaskContext) -> None:
        """Write a file for each row of a block."""
        for index, row in enumerate(block.iter_rows(public_row_format=False)):
            name = self.filename_provider.get_filename_for_row(
                row, ctx.kwargs["write_uuid"], ctx.task_idx, block_index, index
            )
            self.write_file(name, lambda file, row=row: self.write_row_to_file(row, file))  # type: ignore[misc]


__all__ = ["BlockBasedFileDatasink", "FileDatasink", "RowBasedFileDatasink"]
