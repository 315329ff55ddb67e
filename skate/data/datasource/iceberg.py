"""Iceberg tables, by way of the `pyiceberg` package."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from skate.data import convert
from skate.data.block import BlockMetadata
from skate.data.datasource.datasink import Datasink, TaskContext, WriteResult
from skate.data.datasource.datasource import Datasource, ReadTask
from skate.data.expressions import AliasExpr, BinaryExpr, ColumnExpr, Expr, LiteralExpr, Operation, UnaryExpr
from skate.data.interop import require_module
from skate.data.options import SaveMode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MODES = (SaveMode.APPEND, SaveMode.OVERWRITE, SaveMode.UPSERT)


@contextmanager
def _opened_table(identifier: str, catalog_kwargs: dict[str, Any] | None) -> Iterator[Any]:
    """A table of a catalog, whose connections are closed at the end.

    Args:
        identifier: The table, as `namespace.table`.
        catalog_kwargs: Arguments of `pyiceberg.catalog.load_catalog`; `name` is the catalog's, `"default"` if not given.

    Raises:
        ImportError: pyiceberg is missing.
    """
    options = dict(catalog_kwargs or {})
    name = options.pop("name", "default")
    catalog = require_module("pyiceberg.catalog", "pyiceberg").load_catalog(name, **options)
    try:
        yield catalog.load_table(identifier)
    finally:
        if hasattr(catalog, "close"):
            catalog.close()


class IcebergDatasource(Datasource):
    """The rows of a table, in parts of whole files.

    Args:
        table_identifier: The table, as `namespace.table`.
        row_filter: Rows to read: text, an expression of `pyiceberg`, or one of `skate.data.expressions`.
        selected_fields: The columns to read.
        snapshot_id: The snapshot; None for the latest.
        scan_kwargs: Further arguments of the table's `scan`.
        catalog_kwargs: Arguments of `load_catalog`.

    Raises:
        ImportError: pyiceberg is missing.
    """

    def __init__(
        self,
        table_identifier: str,
        row_filter: Any = None,
        selected_fields: tuple[str, ...] = ("*",),
        snapshot_id: int | None = None,
        scan_kwargs: dict[str, Any] | None = None,
        catalog_kwargs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {**(scan_kwargs or {}), "selected_fields": tuple(selected_fields)}
        if row_filter is not None:
            options["row_filter"] = _as_iceberg(row_filter) if isinstance(row_filter, Expr) else row_filter
        if snapshot_id is not None:
            options["snapshot_id"] = snapshot_id
        with _opened_table(table_identifier, catalog_kwargs) as table:
            self._scan = table.scan(**options)
            self._files = list(self._scan.plan_files())

    def get_name(self) -> str:
        """`Iceberg`."""
        return "Iceberg"

    @property
    def files(self) -> tuple[str, ...]:
        """The data files."""
        return tuple(task.file.file_path for task in self._files)

    def estimate_inmemory_data_size(self) -> int | None:
        """By the sizes of the files."""
        return int(sum(task.file.file_size_in_bytes for task in self._files))

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Parts of about one number of files."""
        count = len(self._files)
        parts = max(1, min(parallelism, count))
        tasks = []
        for part in range(parts):
            chosen = self._files[part * count // parts : (part + 1) * count // parts]
            size = sum(task.file.file_size_in_bytes for task in chosen)
            meta = BlockMetadata(None, size, None, input_files=[task.file.file_path for task in chosen])
            tasks.append(ReadTask(_ReadFiles(self._scan, chosen), meta, None, per_task_row_limit))
        return tasks


class _ReadFiles:
    def __init__(self, scan: Any, files: list[Any]) -> None:
        self._metadata, self._io, self._schema = scan.table_metadata, scan.io, scan.projection()
        self._filter, self._case, self._limit = scan.row_filter, scan.case_sensitive, scan.limit
        self._files = files

    def __call__(self) -> Iterator[pa.Table]:
        scan = require_module("pyiceberg.io.pyarrow", "pyiceberg").ArrowScan(
            self._metadata, self._io, self._schema, self._filter, self._case, self._limit
        )
        table = scan.to_table(self._files)
        yield convert.normalise(table.replace_schema_metadata(None))


_COMPARISONS = {
    Operation.EQ: "EqualTo",
    Operation.NE: "NotEqualTo",
    Operation.GT: "GreaterThan",
    Operation.GE: "GreaterThanOrEqual",
    Operation.LT: "LessThan",
    Operation.LE: "LessThanOrEqual",
    Operation.IN: "In",
    Operation.NOT_IN: "NotIn",
}
_FLIPPED = {
    Operation.GT: Operation.LT,
    Operation.GE: Operation.LE,
    Operation.LT: Operation.GT,
    Operation.LE: Operation.GE,
}


def _as_iceberg(expr: Expr) -> Any:
    """A condition as `pyiceberg` writes it.

    Raises:
        ValueError: it has parts that Iceberg's filters lack.
    """
    terms = require_module("pyiceberg.expressions", "pyiceberg")
    if isinstance(expr, AliasExpr):
        return _as_iceberg(expr.expr)
    if isinstance(expr, UnaryExpr):
        if expr.op is Operation.NOT:
            return terms.Not(_as_iceberg(expr.operand))
        if isinstance(expr.operand, ColumnExpr) and expr.op in (Operation.IS_NULL, Operation.IS_NOT_NULL):
            return (terms.IsNull if expr.op is Operation.IS_NULL else terms.NotNull)(expr.operand.name)
    if isinstance(expr, BinaryExpr):
        if expr.op in (Operation.AND, Operation.OR):
            kind = terms.And if expr.op is Operation.AND else terms.Or
            return kind(_as_iceberg(expr.left), _as_iceberg(expr.right))
        left, right = expr.left, expr.right
        op: Operation = expr.op
        if isinstance(left, LiteralExpr) and isinstance(right, ColumnExpr):
            left, right, op = right, left, _FLIPPED.get(op, op)
        if isinstance(left, ColumnExpr) and isinstance(right, LiteralExpr) and op in _COMPARISONS:
            return getattr(terms, _COMPARISONS[op])(left.name, right.value)
    raise ValueError(
        f"{expr!r} is no filter that Iceberg has: it compares columns with values, joined by &, | and ~."
    )


class IcebergDatasink(Datasink["list[Any]"]):
    """Writes to an Iceberg table: tasks write data files, and one commit at the end makes them a snapshot.

    Args:
        table_identifier: The table, as `namespace.table`; it must exist.
        catalog_kwargs: Arguments of `load_catalog`.
        snapshot_properties: Properties of the snapshot.
        mode: APPEND, OVERWRITE or UPSERT.
        overwrite_filter: The rows to replace; None for all. Only for OVERWRITE.
        upsert_kwargs: Arguments of the table's `upsert`, such as `join_cols`. Only for UPSERT.
        overwrite_kwargs: Arguments of the deletion of the rows to replace. Only for OVERWRITE.

    Raises:
        ImportError: pyiceberg is missing.
        ValueError: an argument does not go with the mode.
    """

    def __init__(
        self,
        table_identifier: str,
        catalog_kwargs: dict[str, Any] | None = None,
        snapshot_properties: dict[str, str] | None = None,
        mode: SaveMode = SaveMode.APPEND,
        overwrite_filter: Any = None,
        upsert_kwargs: dict[str, Any] | None = None,
        overwrite_kwargs: dict[str, Any] | None = None,
    ) -> None:
        require_module("pyiceberg")
        self._mode = SaveMode(mode)
        for name, given, wanted in (
            ("upsert_kwargs", upsert_kwargs, SaveMode.UPSERT),
            ("overwrite_kwargs", overwrite_kwargs, SaveMode.OVERWRITE),
            ("overwrite_filter", overwrite_filter, SaveMode.OVERWRITE),
        ):
            if given is not None and self._mode is not wanted:
                raise ValueError(
                    f"{name} can only be specified when mode is SaveMode.{wanted.name}, but mode is {self._mode}"
                )
        if self._mode not in _MODES:
            raise ValueError(
                f"Unsupported mode: {mode!r}. An Iceberg table is written with {[m.value for m in _MODES]}."
            )
        self._identifier, self._catalog = table_identifier, catalog_kwargs
        self._properties = dict(snapshot_properties or {})
        self._filter, self._upsert, self._overwrite = (
            overwrite_filter,
            upsert_kwargs or {},
            overwrite_kwargs or {},
        )
        self._metadata: Any = None
        self._io: Any = None

    def get_name(self) -> str:
        """`Iceberg`."""
        return "Iceberg"

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        """Load the table, and add columns to it that it lacks, where they are known beforehand."""
        with _opened_table(self._identifier, self._catalog) as table:
            if schema is not None and set(schema.names) - set(table.schema().column_names):
                with table.update_schema() as update:
                    update.union_by_name(schema)
            self._metadata, self._io = table.metadata, table.io

    def write(self, blocks: Iterable[pa.Table], ctx: TaskContext) -> list[Any]:
        """Write the rows of a task to data files, or hand them on to be merged."""
        table = convert.concat(blocks).replace_schema_metadata(None)
        if table.num_rows == 0:
            return []
        module = require_module("pyiceberg.io.pyarrow", "pyiceberg")
        wanted = module.schema_to_pyarrow(self._metadata.schema(), include_field_ids=False)
        table = _conformed(table, wanted, self._identifier)
        if self._mode is SaveMode.UPSERT:
            return [table]
        return list(module._dataframe_to_data_files(self._metadata, table, self._io))

    def on_write_complete(self, write_result: WriteResult[list[Any]]) -> None:
        """Make the files a snapshot."""
        parts = [item for part in write_result.write_returns for item in part]
        with _opened_table(self._identifier, self._catalog) as table:
            self._commit(table, parts)

    def _commit(self, table: Any, parts: list[Any]) -> None:
        if self._mode is SaveMode.UPSERT:
            if parts:
                table.upsert(convert.concat(parts), snapshot_properties=self._properties, **self._upsert)
            return
        with table.transaction() as transaction:
            if self._mode is SaveMode.OVERWRITE:
                chosen = _as_iceberg(self._filter) if isinstance(self._filter, Expr) else self._filter
                if chosen is None:
                    chosen = require_module("pyiceberg.expressions", "pyiceberg").AlwaysTrue()
                transaction.delete(chosen, snapshot_properties=self._properties, **self._overwrite)
            with transaction.update_snapshot(self._properties).fast_append() as append:
                for file in parts:
                    append.append_data_file(file)


def _conformed(table: pa.Table, schema: pa.Schema, identifier: str) -> pa.Table:
    """The table in the order and the types of the Iceberg table's columns; those that it lacks are null."""
    extra = [name for name in table.column_names if name not in schema.names]
    if extra:
        raise ValueError(f"Iceberg table {identifier} has no columns {extra}: it has {schema.names}.")
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


__all__ = ["IcebergDatasink", "IcebergDatasource"]
