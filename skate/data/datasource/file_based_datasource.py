"""Reading files: the base class of datasources that read them one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from skate.data import convert
from skate.data.block import BlockMetadata
from skate.data.datasource import files as fs
from skate.data.datasource.datasource import Datasource, ReadTask
from skate.data.datasource.file_meta_provider import BaseFileMetadataProvider, DefaultFileMetadataProvider
from skate.data.datasource.partitioning import Partitioning, PathPartitionFilter, PathPartitionParser
from skate.data.datasource.retry import iterate_with_retries
from skate.data.options import FileShuffleConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from skate.data.block import Block


_SMALL_BYTES = 1 << 20  # tables that have no more together are one block


class FileBasedDatasource(Datasource):
    """Base of datasources that read files one by one. A subclass implements `_read_stream`.

    Args:
        paths: Files, folders or patterns: local paths or addresses.
        filesystem: An Arrow or fsspec file system; None finds one by the address.
        schema: Accepted for Ray's programs.
        open_stream_args: Arguments of the file system's `open_input_stream`.
        meta_provider: What lists the files.
        partition_filter: Which of them to read, by the values in their paths.
        partitioning: How to read values from paths, as columns.
        ignore_missing_paths: Whether paths with nothing at them are left out.
        shuffle: `"files"` or a `FileShuffleConfig`: read the files in random order.
        include_paths: Whether to add the path, as a column `path`.
        file_extensions: Endings of names; others are left out.

    Raises:
        FileNotFoundError: there is nothing at a path.
        ValueError: no file is left.
    """

    _WRITE_FILE_PER_ROW = False
    _FILE_EXTENSIONS: ClassVar[list[str] | None] = None
    factor = 1.0  # the size in memory by that of the file, about

    def __init__(
        self,
        paths: Any,
        *,
        filesystem: Any = None,
        schema: Any = None,
        open_stream_args: dict[str, Any] | None = None,
        meta_provider: BaseFileMetadataProvider | None = None,
        partition_filter: PathPartitionFilter | None = None,
        partitioning: Partitioning | None = None,
        ignore_missing_paths: bool = False,
        shuffle: Any = None,
        include_paths: bool = False,
        file_extensions: list[str] | None = None,
    ) -> None:
        super().__init__()
        self._open_args = open_stream_args
        self._partitioning = partitioning
        self._include_paths = include_paths
        found, self._filesystem = fs.resolve_paths(paths, filesystem)
        if meta_provider is None or isinstance(meta_provider, DefaultFileMetadataProvider):
            files = fs.expand(found, self._filesystem, file_extensions, ignore_missing_paths)
        else:
            files = list(
                meta_provider.expand_paths(found, self._filesystem, partitioning, ignore_missing_paths)
            )
        if partition_filter is not None:
            chosen = set(partition_filter([path for path, _ in files]))
            files = [pair for pair in files if pair[0] in chosen]
            if not files:
                raise ValueError(
                    "No input files found to read. Please double check that 'partition_filter' field is set properly: it "
                    f"leaves out all files under {found}."
                )
        if not files and not ignore_missing_paths:
            raise ValueError(
                f"No files found under {found}. Check the path and any configured `partition_filter` or `file_extensions` "
                "filters; names that start with '_' or '.' are left out."
            )
        if not files:
            raise ValueError(
                f"No files found under {found}: none of the provided paths exist. Paths that do not exist were skipped "
                "because 'ignore_missing_paths' is set to True."
            )
        self._files = fs.shuffled(files, shuffle)

    @property
    def files(self) -> tuple[str, ...]:
        """The files, in the order in which they are read."""
        return tuple(path for path, _ in self._files)

    def estimate_inmemory_data_size(self) -> int | None:
        """By the sizes of the files."""
        return int(self.factor * sum(size for _, size in self._files))

    def _read_stream(self, f: Any, path: str) -> Iterator[Block]:
        """The blocks of an open file."""
        raise NotImplementedError("Subclasses of FileBasedDatasource must implement _read_stream().")

    def _open_input_source(self, filesystem: Any, path: str, **open_args: Any) -> Any:
        return fs.open_input(filesystem, path, open_args)

    def resolve_compression(self, path: str, open_args: dict[str, Any]) -> str | None:
        """The compression of a file: as the arguments say, or as its name does."""
        if "compression" in open_args:
            return str(open_args["compression"])
        codec = pa.Codec.detect(path) if path.endswith((".gz", ".bz2", ".zst", ".lz4", ".br")) else None
        return None if codec is None else str(codec.name)

    def read_file(self, path: str) -> Iterator[pa.Table]:
        """The blocks of a file, with the columns that come from its path.

        Raises:
            OSError: it can't be read.
        """
        return iterate_with_retries(f"reading {path}", lambda: self._blocks(path))

    def _blocks(self, path: str) -> Iterator[pa.Table]:
        with self._open_input_source(self._filesystem, path, **(self._open_args or {})) as stream:
            for block in self._read_stream(stream, path):
                yield self.with_path_columns(convert.table_from_batch(block), path)

    def with_path_columns(self, table: pa.Table, path: str) -> pa.Table:
        """The table with the values in the path, and the path if that is asked for."""
        if self._partitioning is not None:
            for name, value in PathPartitionParser(self._partitioning)(path).items():
                if name not in table.column_names:
                    table = table.append_column(name, pa.array([value] * table.num_rows, _type_of(value)))
        if self._include_paths:
            column = pa.array([path] * table.num_rows, pa.string())
            table = table.append_column("path", column)
        return table

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Parts of about one number of files."""
        parts = np.array_split(np.arange(len(self._files)), max(1, min(parallelism, len(self._files))))
        tasks = []
        for part in parts:
            chosen = [self._files[int(i)] for i in part]
            meta = BlockMetadata(
                self._rows_of(len(chosen)),
                int(self.factor * sum(size for _, size in chosen)),
                None,
                input_files=[path for path, _ in chosen],
            )
            tasks.append(ReadTask(_ReadFiles(self, [p for p, _ in chosen]), meta, None, per_task_row_limit))
        return tasks

    @property
    def rows(self) -> int | None:
        """The rows of all files, where that is known without reading them."""
        return self._rows_of(len(self._files))

    def _rows_of(self, files: int) -> int | None:
        return None


def _type_of(value: Any) -> pa.DataType:
    return {int: pa.int64(), float: pa.float64(), bool: pa.bool_()}.get(type(value), pa.string())


class _ReadFiles:
    def __init__(self, source: FileBasedDatasource, paths: list[str]) -> None:
        self._source, self._paths = source, paths

    def __call__(self) -> Iterator[pa.Table]:
        return together(table for path in self._paths for table in self._source.read_file(path))


def together(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The tables, small ones of one schema put together: many small files do not make as many blocks."""
    small: list[pa.Table] = []
    size = 0
    for table in tables:
        if small and (size + table.nbytes > _SMALL_BYTES or not table.schema.equals(small[0].schema)):
            yield pa.concat_tables(small)
            small, size = [], 0
        small.append(table)
        size += table.nbytes
    if small:
        yield pa.concat_tables(small)


__all__ = ["FileBasedDatasource", "FileShuffleConfig", "together"]
