"""Writing Parquet files."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from skate.data import convert
from skate.data.datasource.file_datasink import BlockBasedFileDatasink
from skate.data.datasource.filename_provider import numbered
from skate.data.options import SaveMode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from skate.data.block import Block
    from skate.data.datasource.datasink import TaskContext


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
        min_bytes_per_file: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, file_format="parquet", **options)
        self._columns = partition_cols
        self._args_fn = arrow_parquet_args_fn
        self._args = dict(arrow_parquet_args or {})
        self._max_rows = max_rows_per_file
        self._min_bytes = min_bytes_per_file

    @property
    def is_plain(self) -> bool:
        """Whether the native engine could write the same."""
        return (
            not self._columns
            and not self._args
            and self._args_fn is None
            and self._max_rows is None
            and self._min_rows_per_file is None
            and self._min_bytes is None
            and isinstance(self.filesystem, pafs.LocalFileSystem)
            and not self.open_stream_args
        )

    @property
    def min_bytes_per_write(self) -> int | None:
        """The least number of bytes in memory of a file."""
        return self._min_bytes

    def file_name(self, block: pa.Table | None, write_uuid: str, task_index: int, part: int) -> str:
        """The name of a part of what a task writes.

        Raises:
            ValueError: files are added to those that are there, and nothing keeps their names apart.
        """
        provider = self.filename_provider
        if provider._names_blocks():
            return provider.get_filename_for_block(block, write_uuid, task_index, part)
        name = provider.get_filename_for_task(write_uuid, task_index)
        if write_uuid not in name and self.mode is SaveMode.APPEND:
            raise ValueError(
                f"Write UUID '{write_uuid}' missing from filename template '{name}'. This could result in files being "
                "overwritten. Modify your FileNameProvider implementation to include the `write_uuid` into the filename "
                "template or change your write mode to SaveMode.OVERWRITE."
            )
        if "{i}" not in name:
            name = numbered(name, "-{i}") if "parquet" in name else f"{name}-{{i}}"
        return (name if "parquet" in name else f"{name}.parquet").replace("{i}", str(part))

    def _write_args(self) -> dict[str, Any]:
        return {**self._args, **(self._args_fn() if self._args_fn else {})}

    def write(self, blocks: Iterable[Block], ctx: TaskContext) -> list[str]:
        """Write the rows of a task to one file, or to one in each partition."""
        self._written = []
        if self._skip_write:
            return []
        table = convert.concat(blocks).replace_schema_metadata(None)
        if self._columns and table.num_rows:
            self._write_partitions(table, ctx)
        elif table.num_rows:
            self._write_part(table, "", 0, ctx)
        return self._written

    def _write_part(self, table: pa.Table, folder: str, first: int, ctx: TaskContext) -> int:
        """Write the rows of a folder, in files of at most so many rows; the number of the next file."""
        size = self._max_rows or table.num_rows
        for start in range(0, table.num_rows, size):
            self._write_table(table.slice(start, size), folder, first, ctx)
            first += 1
        return first

    def _write_table(self, table: pa.Table, folder: str, index: int, ctx: TaskContext) -> None:
        args = self._write_args()
        schema = args.pop("schema", None)
        if schema is not None:
            table = table.cast(schema)
        name = self.file_name(table, ctx.kwargs["write_uuid"], ctx.task_idx, index)
        self.write_file(folder + name, lambda file: pq.write_table(table, file, **args))

    def _write_partitions(self, table: pa.Table, ctx: TaskContext) -> None:
        columns = list(self._columns or ())
        missing = [name for name in columns if name not in table.column_names]
        if missing:
            raise KeyError(
                f"Column {missing[0]} does not exist in schema: partition_cols={columns} of {table.column_names}."
            )
        index = 0
        for values, part in partitions_of(table, columns):
            folder = "".join(f"{n}={_folder(v)}/" for n, v in zip(columns, values, strict=True))
            self.filesystem.create_dir(f"{self.path}/{folder}", recursive=True)
            index = self._write_part(part.drop_columns(columns), folder, index, ctx)


def partitions_of(table: pa.Table, columns: list[str]) -> Iterator[tuple[list[Any], pa.Table]]:
    """The rows for each combination of values of these columns, with the values; all rows for no columns."""
    if not columns:
        yield [], table
        return
    from skate.data.execution.groups import _starts

    table = table.take(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in columns]))
    for start, end in itertools.pairwise([*_starts(table, columns), table.num_rows]):
        part = table.slice(start, end - start)
        yield [part.column(name)[0].as_py() for name in columns], part


def _folder(value: Any) -> str:
    return "__HIVE_DEFAULT_PARTITION__" if value is None else quote(str(value), safe=" :")


__all__ = ["ParquetDatasink", "partitions_of"]
