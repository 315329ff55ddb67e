"""Parquet files: read by the native engine where it can, by Arrow in tasks where a Python stage follows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from skate.data import convert
from skate.data.block import BlockMetadata
from skate.data.datasource.datasource import ReadTask
from skate.data.datasource.file_based_datasource import FileBasedDatasource, together
from skate.data.datasource.partitioning import Partitioning, PathPartitionParser
from skate.data.datasource.retry import iterate_with_retries
from skate.data.plan import evaluate
from skate.data.plan import logical as lg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Self

    from skate.data.expressions import Expr

_BATCH_ROWS = 131_072


class ParquetDatasource(FileBasedDatasource):
    """Parquet files.

    Args:
        paths: As for all files.
        columns: The columns to read; None for all.
        filter: Rows to read, as an expression of Arrow's.
        schema: Names and types to read them as.
        block_udf: Applied to each block after it is read.
        batch_size: Rows that are read at a time.
        tensor_columns: Shapes of columns that hold tensors as bytes.
        options: As for all files.
    """

    def __init__(
        self,
        paths: Any,
        *,
        columns: list[str] | None = None,
        filter: Any = None,
        schema: pa.Schema | None = None,
        block_udf: Callable[[pa.Table], pa.Table] | None = None,
        batch_size: int | None = None,
        tensor_columns: dict[str, tuple[Any, tuple[int, ...]]] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(paths, **options)
        self._columns = columns
        self._filter = filter
        self._given_schema = schema
        self._udf = block_udf
        self._batch_rows = batch_size or _BATCH_ROWS
        self._tensors = tensor_columns or {}
        self._heads: list[tuple[pa.Schema, int, int]] | None = None

    def get_name(self) -> str:
        """`Parquet`."""
        return "Parquet"

    def _footers(self) -> list[tuple[pa.Schema, int, int]]:
        """Schema, rows and bytes in memory of each file, from its end.

        Raises:
            ValueError: a file is no Parquet file.
        """
        if self._heads is None:
            self._heads = [self._footer(path) for path, _ in self._files]
        return self._heads

    def _footer(self, path: str) -> tuple[pa.Schema, int, int]:
        try:
            with self._filesystem.open_input_file(path) as stream:
                meta = pq.ParquetFile(stream)
                size = sum(
                    meta.metadata.row_group(i).total_byte_size for i in range(meta.metadata.num_row_groups)
                )
                return meta.schema_arrow.remove_metadata(), meta.metadata.num_rows, size
        except pa.ArrowInvalid as error:
            raise pa.ArrowInvalid(f"{path} is no Parquet file: {error}") from error

    def _path_schema(self) -> list[tuple[str, pa.DataType]]:
        fields: list[tuple[str, pa.DataType]] = []
        if self._partitioning is not None:
            for name, value in PathPartitionParser(self._partitioning)(self._files[0][0]).items():
                kinds = {int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
                fields.append((name, kinds.get(type(value), pa.string())))
        if self._include_paths:
            fields.append(("path", pa.string()))
        return fields

    @property
    def schema(self) -> pa.Schema | None:
        """The columns that are read; None if only reading tells."""
        if self._udf is not None or self._tensors:
            return None
        base = self._given_schema
        if base is None:
            schemas = [head[0] for head in self._footers()]
            base = (
                schemas[0] if all(s.equals(schemas[0]) for s in schemas) else convert.unify_schemas(schemas)
            )
        names = set(base.names)
        fields = [*base, *(pa.field(*pair) for pair in self._path_schema() if pair[0] not in names)]
        whole = pa.schema(fields)
        if self._columns is None:
            return whole
        self._check(whole)
        wanted = list(self._columns)
        if self._include_paths and "path" not in wanted:
            wanted.append("path")
        return pa.schema([whole.field(name) for name in wanted])

    def _check(self, whole: pa.Schema) -> None:
        for name in self._columns or ():
            if name not in whole.names:
                raise ValueError(
                    f"read_parquet: no column {name!r}: the files have the columns {whole.names}."
                )

    @property
    def rows(self) -> int | None:
        """The rows of all files, if all of them are read."""
        if self._filter is not None or self._predicate_expr is not None or self._udf is not None:
            return None
        return sum(head[1] for head in self._footers())

    def estimate_inmemory_data_size(self) -> int | None:
        """By what the files say of themselves."""
        return sum(head[2] for head in self._footers())

    def scan(self) -> lg.ParquetScan | None:
        """The files for the native engine, if it reads them as Arrow does."""
        schemas = [head[0] for head in self._footers()]
        plain = (
            isinstance(self._filesystem, pafs.LocalFileSystem)
            and not self._include_paths
            and not self._path_schema()
            and self._filter is None
            and self._given_schema is None
            and self._udf is None
            and not self._tensors
            and all(schema.equals(schemas[0]) for schema in schemas)
            and not any(_is_special(field.type) for field in schemas[0])
        )
        if not plain:
            return None
        columns = tuple(self._columns) if self._columns is not None else None
        whole = schemas[0]
        share = 1.0 if columns is None else len(columns) / max(1, len(whole))
        size = int(sum(head[2] for head in self._footers()) * share)
        return lg.ParquetScan(self.files, whole, columns, self.rows, size)

    def supports_projection_pushdown(self) -> bool:
        """It reads the columns only that are asked for."""
        return True

    def supports_predicate_pushdown(self) -> bool:
        """It leaves out rows while it reads."""
        return True

    def get_projection_map(self) -> dict[str, str] | None:
        """The columns to read; None for all."""
        if self._columns is None:
            return None
        paths = ["path"] if self._include_paths and "path" not in self._columns else []
        return {name: name for name in (*self._columns, *paths)}

    def apply_projection(self, projection_map: Mapping[str, str] | None) -> Self:
        """A copy that reads these columns only, out of those that it read before."""
        source = super().apply_projection(projection_map)
        chosen = source._projection_map
        if chosen is not None:
            source._columns = [name for name in chosen if name != "path" or not self._include_paths]
            source._include_paths = self._include_paths and "path" in chosen
        return source

    def prune_columns(self, read: lg.Read, columns: Sequence[str]) -> lg.Read:
        """A read of these columns only."""
        return _read_of(read, self.apply_projection({name: name for name in columns}))

    def push_predicate(self, read: lg.Read, predicate: Expr) -> lg.Read | None:
        """A read of the rows for which the predicate is true, where Arrow can tell while it reads.

        The native engine finds its own predicates, so a read that it can do stays as it is.
        """
        if read.scan is not None or self._udf is not None or self._tensors:
            return None
        needed = evaluate.columns_of(predicate)
        in_files = set(self._footers()[0][0].names)
        if (
            needed is None
            or not needed <= in_files
            or (self._columns is not None and not needed <= set(self._columns))
        ):
            return None
        try:
            predicate.to_pyarrow()
        except TypeError:
            return None
        source = self.apply_predicate(predicate)
        return replace(_read_of(read, source), predicate=source._predicate_expr)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_heads": None}

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Parts of about one number of files, or of row groups where there are fewer files than parts."""
        heads = self._footers()
        schema = self.schema
        wanted = schema if any(head[0] != heads[0][0] for head in heads) else None
        order = np.array_split(np.arange(len(self._files)), max(1, min(parallelism, len(self._files))))
        tasks = []
        for part in order:
            paths = [self._files[int(i)][0] for i in part]
            rows = None if self.rows is None else sum(heads[int(i)][1] for i in part)
            meta = BlockMetadata(rows, sum(heads[int(i)][2] for i in part), None, input_files=paths)
            tasks.append(ReadTask(_ReadParquet(self, paths, wanted), meta, schema, per_task_row_limit))
        return tasks

    def read_file(self, path: str) -> Iterator[pa.Table]:
        """The blocks of a file.

        Raises:
            OSError: it is damaged, or it can't be read.
        """
        try:
            yield from iterate_with_retries(f"reading {path}", lambda: self._batches(path))
        except FileNotFoundError:
            raise
        except (pa.ArrowInvalid, OSError) as error:
            raise OSError(f"{path} can't be read, or is damaged: {error}") from error

    def _batches(self, path: str) -> Iterator[pa.Table]:
        import pyarrow.dataset as pds

        dataset = pds.dataset(
            [path],
            filesystem=self._filesystem,
            format="parquet",
            schema=self._given_schema,
            partitioning=None,
        )
        in_file = set(dataset.schema.names)
        columns = None if self._columns is None else [name for name in self._columns if name in in_file]
        if columns == [] and in_file:
            # None of those that are asked for: any column tells how many rows there are.
            columns = [dataset.schema.names[0]]
        row_filter = self._filter
        if self._predicate_expr is not None:
            own = self._predicate_expr.to_pyarrow()
            row_filter = own if row_filter is None else row_filter & own
        scanner = dataset.scanner(
            columns=columns,
            filter=row_filter,
            batch_size=self._batch_rows,
            use_threads=False,
            batch_readahead=2,
        )
        empty = True
        for batch in scanner.to_batches():
            if batch.num_rows:
                empty = False
                yield self._finish(pa.Table.from_batches([batch]), path)
        if empty:
            yield self._finish(scanner.projected_schema.empty_table(), path)

    def _finish(self, table: pa.Table, path: str) -> pa.Table:
        table = self.with_path_columns(table.replace_schema_metadata(None), path)
        for name, (dtype, shape) in self._tensors.items():
            rows = [
                np.frombuffer(data, dtype=dtype).reshape(shape) for data in table.column(name).to_pylist()
            ]
            column = convert.column_from_values(np.stack(rows))
            table = table.set_column(table.column_names.index(name), name, column)
        if self._columns is not None:
            keep = [n for n in self._columns if n in table.column_names]
            if self._include_paths and "path" not in keep:
                keep.append("path")
            table = table.select(keep) if keep else table
        return self._udf(table) if self._udf is not None else table


class _ReadParquet:
    """Reads files; where they differ in their columns, all blocks get the columns of all (`wanted`)."""

    def __init__(self, source: ParquetDatasource, paths: list[str], wanted: pa.Schema | None) -> None:
        self._source, self._paths, self._wanted = source, paths, wanted

    def __call__(self) -> Iterator[pa.Table]:
        tables = (table for path in self._paths for table in self._source.read_file(path))
        wanted = self._wanted
        return together(table if wanted is None else convert.align(table, wanted) for table in tables)


def _is_special(kind: pa.DataType) -> bool:
    """Whether the native engine has no type of its own for a column."""
    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_dictionary(kind) or pa.types.is_map(kind):
        return True
    if pa.types.is_fixed_size_binary(kind) or pa.types.is_decimal256(kind) or pa.types.is_date64(kind):
        return True
    return bool(pa.types.is_timestamp(kind) and kind.unit == "s")


def _read_of(read: lg.Read, source: ParquetDatasource) -> lg.Read:
    return replace(
        read,
        source=source._tasks,
        schema=source.schema,
        rows=source.rows,
        scan=source.scan() if read.scan is not None else None,
        datasource=source,
    )


def make_read(source: ParquetDatasource, blocks: int, **fields: Any) -> lg.Read:
    """The operator that reads these files."""
    return lg.Read(
        source=source._tasks,
        label="ReadParquet",
        blocks=blocks,
        schema=source.schema,
        rows=source.rows,
        size_bytes=source.estimate_inmemory_data_size(),
        scan=source.scan(),
        datasource=source,
        files=source.files,
        **fields,
    )


__all__ = ["ParquetDatasource", "Partitioning", "make_read"]
