"""Writing files. A file appears under its name when it is complete: it is written under another, and renamed."""

from __future__ import annotations

import io
import itertools
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from skate.data import convert
from skate.data.block import Block, BlockAccessor
from skate.data.datasource import files as fs
from skate.data.datasource.datasink import Datasink, TaskContext, WriteResult
from skate.data.datasource.filename_provider import FilenameProvider
from skate.data.options import SaveMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class FileDatasink(Datasink[None]):
    """Base of sinks that write files into a folder.

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

    def on_write_start(self, schema: Any = None) -> None:
        """Make the folder, or refuse what is there, as the mode says.

        Raises:
            ValueError: there is something, and the mode is ERROR.
        """
        info = self.filesystem.get_file_info(self.path)
        exists = info.type != pafs.FileType.NotFound
        if exists and self.mode is SaveMode.ERROR:
            raise ValueError(
                f"Path {self.path} already exists. If this is unexpected, use mode='ignore' to ignore those files, or "
                "mode='overwrite' to replace them."
            )
        self._skip_write = exists and self.mode is SaveMode.IGNORE
        if exists and self.mode is SaveMode.OVERWRITE and info.type == pafs.FileType.Directory:
            self.filesystem.delete_dir_contents(self.path)
        if self.try_create_dir and not exists:
            self.filesystem.create_dir(self.path, recursive=True)
            self.has_created_dir = True

    def open_output_stream(self, path: str) -> Any:
        """A stream to a file."""
        return self.filesystem.open_output_stream(path, **self.open_stream_args)

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> None:
        """Write the blocks of a task."""
        if self._skip_write:
            return
        for index, block in enumerate(blocks):
            if block.num_rows:
                self.write_block(BlockAccessor.for_block(block), index, ctx)

    def write_block(self, block: BlockAccessor, block_index: int, ctx: TaskContext) -> None:
        """Write a block."""
        raise NotImplementedError

    def write_file(self, name: str, write: Callable[[Any], None]) -> None:
        """Write a file of the folder; it appears when it is complete.

        Raises:
            OSError: it can't be written; then nothing of it is left.
        """
        final = f"{self.path}/{name}"
        if not isinstance(self.filesystem, pafs.LocalFileSystem):
            with self.open_output_stream(final) as stream:  # object stores show a file when it is closed
                write(stream)
            return
        folder, base = os.path.split(final)
        partial = f"{folder}/.{base}.{os.getpid()}.partial"
        try:
            with self.open_output_stream(partial) as stream:
                write(stream)
            self.filesystem.move(partial, final)
        except BaseException:
            if self.filesystem.get_file_info(partial).type == pafs.FileType.File:
                self.filesystem.delete_file(partial)
            raise

    def on_write_complete(self, write_result: WriteResult[None]) -> None:
        """Take the folder away again if nothing was written into it."""
        if self.has_created_dir and write_result.num_rows == 0:
            self.filesystem.delete_dir(self.path)

    @property
    def supports_distributed_writes(self) -> bool:
        """Whether other machines could write to it: not to this machine's folders."""
        return not isinstance(self.filesystem, pafs.LocalFileSystem)


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


class ParquetDatasink(BlockBasedFileDatasink):
    """Writes Parquet files, in folders by the values of columns if that is asked for."""

    def __init__(
        self,
        path: str,
        *,
        partition_cols: list[str] | None = None,
        arrow_parquet_args_fn: Callable[[], dict[str, Any]] | None = None,
        arrow_parquet_args: dict[str, Any] | None = None,
        max_rows_per_file: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, file_format="parquet", **options)
        self._columns = partition_cols
        self._args_fn = arrow_parquet_args_fn
        self._args = dict(arrow_parquet_args or {})
        self._max_rows = max_rows_per_file

    @property
    def is_plain(self) -> bool:
        """Whether the native engine could write the same."""
        return (
            not self._columns
            and not self._args
            and self._args_fn is None
            and self._max_rows is None
            and self._min_rows_per_file is None
            and isinstance(self.filesystem, pafs.LocalFileSystem)
            and not self.open_stream_args
        )

    def _write_args(self) -> dict[str, Any]:
        return {**self._args, **(self._args_fn() if self._args_fn else {})}

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> None:
        """Write the rows of a task to one file, or to one in each partition."""
        if self._skip_write:
            return
        table = convert.concat(blocks)
        if table.num_rows == 0:
            return
        table = table.replace_schema_metadata(None)
        if self._columns:
            self._write_partitions(table, ctx)
            return
        size = self._max_rows or table.num_rows
        for index, start in enumerate(range(0, table.num_rows, size)):
            self._write_table(table.slice(start, size), "", index, ctx)

    def _write_table(self, table: pa.Table, folder: str, index: int, ctx: TaskContext) -> None:
        args = self._write_args()
        name = self.filename_provider.get_filename_for_block(
            table, ctx.kwargs["write_uuid"], ctx.task_idx, index
        )
        self.write_file(folder + name, lambda file: _write_parquet(table, file, args))

    def _write_partitions(self, table: pa.Table, ctx: TaskContext) -> None:
        columns = list(self._columns or ())
        missing = [name for name in columns if name not in table.column_names]
        if missing:
            raise ValueError(
                f"partition_cols={columns}: no column {missing}; there are {table.column_names}."
            )
        order = pa.compute.sort_indices(table, sort_keys=[(name, "ascending") for name in columns])
        table = table.take(order)
        from skate.data.execution.groups import _starts

        starts = [*_starts(table, columns), table.num_rows]
        for index, (start, end) in enumerate(itertools.pairwise(starts)):
            part = table.slice(start, end - start)
            values = [part.column(name)[0].as_py() for name in columns]
            folder = "".join(f"{n}={_folder(v)}/" for n, v in zip(columns, values, strict=True))
            self.filesystem.create_dir(f"{self.path}/{folder}", recursive=True)
            self._write_table(part.drop_columns(columns), folder, index, ctx)


def _folder(value: Any) -> str:
    return "__HIVE_DEFAULT_PARTITION__" if value is None else quote(str(value), safe=" :")


def _write_parquet(table: pa.Table, file: Any, args: dict[str, Any]) -> None:
    schema = args.pop("schema", None) if "schema" in args else None
    pq.write_table(table.cast(schema) if schema is not None else table, file, **args)


class CSVDatasink(BlockBasedFileDatasink):
    """Writes CSV files."""

    def __init__(
        self,
        path: str,
        *,
        arrow_csv_args_fn: Callable[[], dict[str, Any]] | None = None,
        arrow_csv_args: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, file_format="csv", **options)
        self._args_fn, self._args = arrow_csv_args_fn, dict(arrow_csv_args or {})

    def write_block_to_file(self, block: BlockAccessor, file: Any) -> None:
        """Write a block with a line of names at its head."""
        from pyarrow import csv

        args = {**self._args, **(self._args_fn() if self._args_fn else {})}
        csv.write_csv(block.to_arrow(), file, args.pop("write_options", None), **args)


class JSONDatasink(BlockBasedFileDatasink):
    """Writes JSON files, an object a line."""

    def __init__(
        self,
        path: str,
        *,
        pandas_json_args_fn: Callable[[], dict[str, Any]] | None = None,
        pandas_json_args: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, file_format="json", **options)
        self._args_fn, self._args = pandas_json_args_fn, dict(pandas_json_args or {})

    def write_block_to_file(self, block: BlockAccessor, file: Any) -> None:
        """Write a block by way of pandas, whose options these are."""
        args = {**self._args, **(self._args_fn() if self._args_fn else {})}
        orient, lines = args.pop("orient", "records"), args.pop("lines", True)
        buffer = io.BytesIO()
        convert.table_to_pandas(block.to_arrow()).to_json(buffer, orient=orient, lines=lines, **args)
        file.write(buffer.getvalue())


class NumpyDatasink(BlockBasedFileDatasink):
    """Writes a column to NumPy files."""

    def __init__(self, path: str, column: str, **options: Any) -> None:
        super().__init__(path, file_format="npy", **options)
        self._column = column

    def write_block_to_file(self, block: BlockAccessor, file: Any) -> None:
        """Write the column of a block.

        Raises:
            ValueError: there is no such column.
        """
        buffer = io.BytesIO()
        np.save(buffer, block.to_numpy(self._column))
        file.write(buffer.getvalue())


class ImageDatasink(RowBasedFileDatasink):
    """Writes a column of images to files, one for each row."""

    def __init__(self, path: str, column: str, file_format: str, **options: Any) -> None:
        super().__init__(path, file_format=file_format, **options)
        self._column = column

    def write_row_to_file(self, row: dict[str, Any], file: Any) -> None:
        """Write the image of a row."""
        from skate.data.interop import require_module

        image = require_module("PIL.Image", "pillow").fromarray(row[self._column])
        buffer = io.BytesIO()
        image.save(buffer, format=self.file_format)
        file.write(buffer.getvalue())


class ORCDatasink(BlockBasedFileDatasink):
    """Writes ORC files."""

    def __init__(
        self,
        path: str,
        *,
        arrow_orc_args_fn: Callable[[], dict[str, Any]] | None = None,
        arrow_orc_args: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, file_format="orc", **options)
        self._args_fn, self._args = arrow_orc_args_fn, dict(arrow_orc_args or {})

    def write_block_to_file(self, block: BlockAccessor, file: Any) -> None:
        """Write a block."""
        from pyarrow import orc

        args = {**self._args, **(self._args_fn() if self._args_fn else {})}
        orc.write_table(block.to_arrow(), file, **args)


__all__ = [
    "BlockBasedFileDatasink",
    "CSVDatasink",
    "FileDatasink",
    "ImageDatasink",
    "JSONDatasink",
    "NumpyDatasink",
    "ORCDatasink",
    "ParquetDatasink",
    "RowBasedFileDatasink",
]
