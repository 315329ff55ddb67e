"""Delta Lake tables, by way of the `deltalake` package."""

from __future__ import annotations

import datetime
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from skate.data import convert
from skate.data.block import BlockMetadata
from skate.data.datasource import files as fs
from skate.data.datasource.datasink import Datasink, TaskContext, WriteResult
from skate.data.datasource.datasource import Datasource, ReadTask
from skate.data.datasource.parquet_datasink import partitions_of
from skate.data.interop import require_module
from skate.data.options import SaveMode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MODES = (SaveMode.APPEND, SaveMode.OVERWRITE, SaveMode.ERROR, SaveMode.IGNORE)


class DeltaDatasource(Datasource):
    """The rows of a table at a version, in parts of whole files.

    Args:
        path: The table's folder or address.
        version: The version; None for the latest.
        storage_options: Credentials and settings of the store.
        filesystem: An Arrow or fsspec file system for the data files; None uses the store of the log.
        columns: The columns to read; None for all.
        shuffle: `"files"` or a `FileShuffleConfig`: read the files in random order.
        include_paths: Whether to add the path of the file, as a column `path`.
        scan: Further arguments of the scan of a file, such as `filter` and `batch_size`.

    Raises:
        ImportError: deltalake is missing.
    """

    def __init__(
        self,
        path: str,
        version: int | None = None,
        storage_options: dict[str, Any] | None = None,
        filesystem: Any = None,
        columns: list[str] | None = None,
        shuffle: Any = None,
        include_paths: bool = False,
        **scan: Any,
    ) -> None:
        super().__init__()
        table = require_module("deltalake").DeltaTable(
            fs.expanded(path), version=version, storage_options=storage_options
        )
        if filesystem is not None:
            root, chosen = fs.resolve_paths(path, filesystem)
            filesystem = pafs.SubTreeFileSystem(root[0], chosen)
        dataset = table.to_pyarrow_dataset(filesystem=filesystem)
        self._schema = dataset.schema
        self._paths, self._scan = include_paths, {**scan, "columns": columns}
        fragments = {fragment.path: fragment for fragment in dataset.get_fragments()}
        self._fragments = [
            fragments[name] for name, _ in fs.shuffled([(name, 0) for name in fragments], shuffle)
        ]
        self._root = path

    def get_name(self) -> str:
        """`Delta`."""
        return "Delta"

    @property
    def files(self) -> tuple[str, ...]:
        """The data files, below the table's folder."""
        return tuple(fragment.path for fragment in self._fragments)

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown without reading the files' ends."""
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Parts of about one number of files."""
        count = len(self._fragments)
        parts = max(1, min(parallelism, count))
        tasks = []
        for part in range(parts):
            chosen = self._fragments[part * count // parts : (part + 1) * count // parts]
            meta = BlockMetadata(None, None, None, input_files=[fragment.path for fragment in chosen])
            read = _ReadFragments(chosen, self._schema, self._scan, self._root if self._paths else None)
            tasks.append(ReadTask(read, meta, None, per_task_row_limit))
        return tasks


class _ReadFragments:
    def __init__(
        self, fragments: list[Any], schema: pa.Schema, scan: dict[str, Any], root: str | None
    ) -> None:
        self._fragments, self._schema, self._scan, self._root = fragments, schema, scan, root

    def __call__(self) -> Iterator[pa.Table]:
        for fragment in self._fragments:
            for batch in fragment.to_batches(schema=self._schema, **self._scan):
                yield self._finish(pa.Table.from_batches([batch]), fragment.path)
        if not self._fragments:
            columns = self._scan["columns"] or self._schema.names
            yield self._finish(self._schema.empty_table().select(columns), "")

    def _finish(self, table: pa.Table, path: str) -> pa.Table:
        table = convert.normalise(table.replace_schema_metadata(None))
        if self._root is not None:
            whole = pa.array([f"{self._root.rstrip('/')}/{path}"] * table.num_rows, pa.string())
            table = table.append_column("path", whole)
        return table


class _WrittenFile(NamedTuple):
    """A data file that no version of the table has yet.

    Attributes:
        path: Its path below the table's folder.
        size: Its bytes.
        partition: Values of the partition columns, as the log writes them.
        stats: Counts of rows and nulls, as JSON.
        schema: The columns, with those of the partition.
    """

    path: str
    size: int
    partition: dict[str, str | None]
    stats: str
    schema: pa.Schema


class DeltaDatasink(Datasink["list[_WrittenFile]"]):
    """Writes a Delta table: tasks write data files, and one commit at the end makes them a version.

    Args:
        path: The table's folder or address.
        mode: APPEND, OVERWRITE, ERROR or IGNORE.
        partition_by: Columns whose values become folders, of a table that is made.
        storage_options: Credentials and settings of the store.
        schema_mode: `"merge"` adds new columns to the table, `"error"` refuses them.
        filesystem: An Arrow or fsspec file system for the data files; None uses the store of the log.
        name: The name of a table that is made.
        description: The description of a table that is made.

    Raises:
        ImportError: deltalake is missing.
        ValueError: there is no such mode.
    """

    def __init__(
        self,
        path: str,
        *,
        mode: SaveMode = SaveMode.APPEND,
        partition_by: list[str] | None = None,
        storage_options: dict[str, Any] | None = None,
        schema_mode: str = "merge",
        filesystem: Any = None,
        name: str | None = None,
        description: str | None = None,
    ) -> None:
        require_module("deltalake")
        self._mode = SaveMode(mode)
        if self._mode not in _MODES:
            raise ValueError(
                f"mode={mode!r}: a Delta table is written with one of {[m.value for m in _MODES]}."
            )
        if schema_mode not in ("merge", "error"):
            raise ValueError(f"schema_mode={schema_mode!r}: it must be 'merge' or 'error'.")
        self._path, self._storage, self._schema_mode = fs.expanded(path), storage_options, schema_mode
        self._partition_by, self._filesystem = partition_by, filesystem
        self._name, self._description = name, description
        self._exists = False
        self._skip = False

    def get_name(self) -> str:
        """`Delta`."""
        return "Delta"

    def _table(self) -> Any:
        return require_module("deltalake").DeltaTable(self._path, storage_options=self._storage)

    def _store(self, path: str, content: bytes) -> None:
        """Write a file below the table's folder."""
        chosen = self._filesystem
        if chosen is None and self._storage and "://" in self._path:
            chosen = _filesystem_of(self._path, self._storage)
        paths, found = fs.resolve_paths(self._path, chosen)
        whole = f"{paths[0].rstrip('/')}/{path}"
        found.create_dir(whole.rpartition("/")[0], recursive=True)
        with found.open_output_stream(whole) as stream:
            stream.write(content)

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        """Look for the table, and refuse what does not fit it.

        Raises:
            ValueError: it exists and the mode is ERROR, or it is partitioned otherwise.
        """
        module = require_module("deltalake")
        self._exists = module.DeltaTable.is_deltatable(self._path, self._storage)
        if not self._exists:
            return
        if self._mode is SaveMode.ERROR:
            raise ValueError(
                f"Delta table '{self._path}' already exists. Use mode='append' to add to it, or mode='overwrite' to replace it."
            )
        self._skip = self._mode is SaveMode.IGNORE
        existing = list(self._table().metadata().partition_columns)
        if self._partition_by is not None and existing != self._partition_by:
            raise ValueError(
                f"Cannot write to Delta table '{self._path}': the table is partitioned by {existing}, but "
                f"partition_by={self._partition_by} was given: give the same columns, or none."
            )
        self._partition_by = existing or None

    def write(self, blocks: Iterable[pa.Table], ctx: TaskContext) -> list[_WrittenFile]:
        """Write the rows of a task to data files, which are part of nothing yet."""
        table = convert.concat(blocks).replace_schema_metadata(None)
        if self._skip or table.num_rows == 0:
            return []
        columns = self._partition_by or []
        missing = [name for name in columns if name not in table.column_names]
        if missing:
            raise ValueError(
                f"Cannot write to Delta table '{self._path}': the data being written is missing partition column(s) "
                f"{missing}; there are {table.column_names}."
            )
        written = []
        for number, (values, part) in enumerate(partitions_of(table, columns)):
            coded = {name: _coded(value) for name, value in zip(columns, values, strict=True)}
            name = f"{ctx.kwargs['write_uuid']}-{ctx.task_idx:06}-{number:06}.parquet"
            path = "".join(f"{column}={_folder(value)}/" for column, value in coded.items()) + name
            written.append(self._write_part(path, part.drop_columns(columns), coded, table.schema))
        return written

    def _write_part(
        self,
        path: str,
        part: pa.Table,
        coded: dict[str, str | None],
        schema: pa.Schema,
    ) -> _WrittenFile:
        buffer = pa.BufferOutputStream()
        pq.write_table(part, buffer)
        content = buffer.getvalue().to_pybytes()
        self._store(path, content)
        nulls = {name: part.column(name).null_count for name in part.column_names}
        stats = json.dumps({"numRecords": part.num_rows, "nullCount": nulls})
        return _WrittenFile(path, len(content), coded, stats, schema)

    def on_write_complete(self, write_result: WriteResult[list[_WrittenFile]]) -> None:
        """Make the files a version of the table.

        Raises:
            ValueError: there are no rows to take the columns of a new table from, or columns do not fit the table.
        """
        files = [file for part in write_result.write_returns for file in part]
        if self._skip or (not files and self._exists and self._mode is SaveMode.APPEND):
            return
        if not files and not self._exists:
            raise ValueError(
                "Cannot write a Delta table without a schema: the dataset produced no data and no schema was provided."
            )
        transaction = require_module("deltalake.transaction", "deltalake")
        actions = [
            transaction.AddAction(
                file.path, file.size, file.partition, int(time.time() * 1000), True, file.stats
            )
            for file in files
        ]
        schema = (
            _without_zones_lost(convert.unify_schemas([file.schema for file in files])) if files else None
        )
        if not self._exists:
            transaction.create_table_with_add_actions(
                self._path,
                require_module("deltalake").Schema.from_arrow(schema),
                actions,
                "error",
                self._partition_by,
                self._name,
                self._description,
                storage_options=self._storage,
            )
            return
        table = self._table()
        final = self._evolved(table, schema)
        table.create_write_transaction(
            actions, "overwrite" if self._mode is SaveMode.OVERWRITE else "append", final, self._partition_by
        )

    def _evolved(self, table: Any, schema: pa.Schema | None) -> Any:
        """The table's schema, with columns that it lacks added where that is allowed."""
        module = require_module("deltalake")
        if schema is None:
            return table.schema()
        known = {field.name: field for field in pa.schema(table.schema().to_arrow())}
        new = [field for field in schema if field.name not in known]
        for field in schema:
            if field.name in known and not _fits(field.type, known[field.name].type):
                raise ValueError(
                    f"Cannot write to Delta table '{self._path}': column {field.name!r} is {field.type} in the data and "
                    f"{known[field.name].type} in the table: cast it first."
                )
        if new and self._schema_mode != "merge":
            raise ValueError(
                f"Cannot write to Delta table '{self._path}': field(s) {[field.name for field in new]} are not present "
                "in the table's existing schema. Pass schema_mode='merge' to add them."
            )
        if new:
            table.alter.add_columns(list(module.Schema.from_arrow(pa.schema(new)).fields))
        return table.schema()


_S3 = {
    "access_key_id": "access_key",
    "secret_access_key": "secret_key",
    "session_token": "session_token",
    "region": "region",
    "default_region": "region",
    "endpoint_url": "endpoint_override",
    "endpoint": "endpoint_override",
}


def _filesystem_of(address: str, storage_options: dict[str, Any]) -> pafs.FileSystem | None:
    """Arrow's file system of a store, with the credentials that the log's package was given.

    Raises:
        ValueError: they are those of a store that this can't be told of.
    """
    if not address.startswith(("s3://", "s3a://")):
        raise ValueError(
            f"write_delta: storage_options are understood for s3:// addresses, and {address} is none: give "
            "filesystem= as well, with the same credentials."
        )
    options = {name.lower().removeprefix("aws_"): str(value) for name, value in storage_options.items()}
    chosen = {_S3[name]: value for name, value in options.items() if name in _S3}
    if chosen.get("endpoint_override", "").startswith("http://"):
        chosen["scheme"] = "http"
    if "endpoint_override" in chosen:
        chosen["endpoint_override"] = chosen["endpoint_override"].partition("://")[2]
    return pafs.S3FileSystem(**chosen)


def _fits(kind: pa.DataType, known: pa.DataType) -> bool:
    plain = convert.plain_type(known)
    return bool(
        kind == plain
        or pa.types.is_null(kind)
        or (pa.types.is_timestamp(kind) and pa.types.is_timestamp(plain))
    )


def _without_zones_lost(schema: pa.Schema) -> pa.Schema:
    """The types that a Delta table has for these: times in microseconds."""
    return pa.schema(
        [
            pa.field(f.name, pa.timestamp("us", f.type.tz) if pa.types.is_timestamp(f.type) else f.type)
            for f in schema
        ]
    )


def _coded(value: Any) -> str | None:
    """A partition's value as the log writes it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f")
    return str(value)


def _folder(value: str | None) -> str:
    return "__HIVE_DEFAULT_PARTITION__" if value is None else quote(value, safe="")


__all__ = ["DeltaDatasink", "DeltaDatasource"]
