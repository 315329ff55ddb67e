"""ClickHouse tables."""

from __future__ import annotations

import enum
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from skate.data import convert
from skate.data.block import BlockMetadata
from skate.data.datasource.datasink import Datasink, TaskContext
from skate.data.datasource.datasource import Datasource, ReadTask
from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ROWS_WORTH_A_TASK = 50


class SinkMode(enum.IntEnum):
    """What writing does where the table is already.

    CREATE raises if it is there, APPEND inserts into it, OVERWRITE replaces it.
    """

    CREATE = 1
    APPEND = 2
    OVERWRITE = 3


@dataclass
class ClickHouseTableSettings:
    """How a table is made.

    Attributes:
        engine: The table engine.
        order_by: The sorting key; default: the first column that is never null, or none.
        partition_by: The partitioning expression.
        primary_key: The primary key.
        settings: Further settings, as `name = value`.
    """

    engine: str = "MergeTree()"
    order_by: str | None = None
    partition_by: str | None = None
    primary_key: str | None = None
    settings: str | None = None


@dataclass(frozen=True)
class _Connection:
    """Where the server is, and how to talk to it.

    Attributes:
        dsn: The address, as `clickhouse+http://user:password@host:port/database`.
        settings: Settings of the server for each query.
        kwargs: Further arguments of the client.
    """

    dsn: str
    settings: dict[str, Any]
    kwargs: dict[str, Any]

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A client, closed at the end."""
        module = require_module("clickhouse_connect", "clickhouse-connect")
        client = module.get_client(dsn=self.dsn, settings=self.settings, **self.kwargs)
        try:
            yield client
        finally:
            client.close()


class ClickHouseDatasource(Datasource):
    """The rows of a table or view.

    Args:
        table: Its name.
        dsn: The server's address.
        columns: The columns to read; None for all.
        filter: A condition, as it stands after WHERE.
        order_by: Columns, and whether the order is descending. Only with an order can several tasks read.
        client_settings: Settings of the server for each query.
        client_kwargs: Further arguments of the client.

    Raises:
        ImportError: clickhouse-connect is missing.
        ValueError: the filter holds a semicolon, or the server refuses it.
    """

    def __init__(
        self,
        table: str,
        dsn: str,
        columns: list[str] | None = None,
        filter: str | None = None,
        order_by: tuple[list[str], bool] | None = None,
        client_settings: dict[str, Any] | None = None,
        client_kwargs: dict[str, Any] | None = None,
    ) -> None:
        require_module("clickhouse_connect", "clickhouse-connect")
        super().__init__()
        self._server = _Connection(dsn, client_settings or {}, client_kwargs or {})
        self._ordered = order_by is not None
        query = f"SELECT {', '.join(columns) if columns else '*'} FROM {table}"
        if filter:
            self._check(table, filter)
            query += f" WHERE {filter}"
        if order_by is not None:
            keys, descending = order_by
            joined = keys[0] if len(keys) == 1 else f"({', '.join(keys)})"
            query += f" ORDER BY {joined}{' DESC' if descending else ''}"
        self._query = query

    def _check(self, table: str, condition: str) -> None:
        outside = re.sub(r"'(?:[^'\\]|\\.|'')*'", "''", condition)
        if ";" in outside:
            raise ValueError(f"Invalid characters outside of string literals in filter: {condition}")
        with self._server.client() as client:
            try:
                client.query(f"EXPLAIN SELECT 1 FROM {table} WHERE {condition}")
            except Exception as error:
                raise ValueError(f"Invalid filter expression: {condition}. Error: {error}") from error

    def get_name(self) -> str:
        """`ClickHouse`."""
        return "ClickHouse"

    def _number(self, query: str) -> int:
        with self._server.client() as client:
            return int(client.query(query).result_rows[0][0] or 0)

    def estimate_inmemory_data_size(self) -> int | None:
        """As the server counts it."""
        return self._number(f"SELECT SUM(byteSize(*)) AS estimate FROM ({self._query})")

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Parts of the rows by their order, or all of them for one task."""
        rows = self._number(f"SELECT COUNT(*) AS estimate FROM ({self._query})")
        parts = min(parallelism, -(-rows // _ROWS_WORTH_A_TASK)) if self._ordered else 1
        if parts <= 1:
            meta = BlockMetadata(rows, None, None)
            return [ReadTask(_ReadQuery(self._server, self._query), meta, None, per_task_row_limit)]
        tasks = []
        for part in range(parts):
            start, end = rows * part // parts, rows * (part + 1) // parts
            limit = "" if part == parts - 1 else f" LIMIT {end - start}"
            query = f"{self._query}{limit} OFFSET {start}"
            meta = BlockMetadata(end - start, None, None)
            tasks.append(ReadTask(_ReadQuery(self._server, query), meta, None, per_task_row_limit))
        return tasks


class _ReadQuery:
    def __init__(self, server: _Connection, query: str) -> None:
        self._server, self._query = server, query

    def __call__(self) -> Iterator[pa.Table]:
        with self._server.client() as client:
            try:
                stream = client.query_arrow_stream(self._query)
            except Exception as error:
                raise RuntimeError(f"Failed to execute block query: {error}") from error
            with stream as batches:
                for batch in batches:
                    table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
                    yield convert.normalise(table)


class ClickHouseDatasink(Datasink[int]):
    """Inserts rows into a table, which it makes where that is needed.

    Args:
        table: The table, `database.table` or `table`.
        dsn: The server's address.
        mode: What to do where the table is already.
        schema: The columns of a table that is made; default: those of the dataset.
        client_settings: Settings of the server for each query.
        client_kwargs: Further arguments of the client.
        table_settings: How a table is made.
        max_insert_block_rows: The greatest number of rows of one insert.

    Raises:
        ImportError: clickhouse-connect is missing.
    """

    def __init__(
        self,
        table: str,
        dsn: str,
        mode: SinkMode = SinkMode.CREATE,
        schema: pa.Schema | None = None,
        client_settings: dict[str, Any] | None = None,
        client_kwargs: dict[str, Any] | None = None,
        table_settings: ClickHouseTableSettings | None = None,
        max_insert_block_rows: int | None = None,
    ) -> None:
        require_module("clickhouse_connect", "clickhouse-connect")
        self._table, self._mode, self._schema = table, SinkMode(mode), schema
        self._server = _Connection(dsn, client_settings or {}, client_kwargs or {})
        self._settings = table_settings or ClickHouseTableSettings()
        self._most_rows = max_insert_block_rows

    def get_name(self) -> str:
        """`ClickHouse`."""
        return "ClickHouse"

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        """Make the table, as the mode says.

        Raises:
            ValueError: it is there and the mode is CREATE, or it must be made and its columns are unknown.
        """
        wanted = self._schema if self._schema is not None else schema
        with self._server.client() as client:
            exists = bool(int(client.command(f"EXISTS {self._table}")))
            if exists and self._mode is SinkMode.CREATE:
                raise ValueError(
                    f"Table {self._table} already exists in mode='CREATE'. Use mode='APPEND' to add to it, or "
                    "mode='OVERWRITE' to replace it."
                )
            if exists and self._mode is SinkMode.APPEND:
                self._check_order(client)
                return
            if wanted is None:
                raise ValueError(
                    f"Table {self._table} does not exist in mode='{self._mode.name}' and no schema was provided. Cannot "
                    "create the table without a schema: give one, as schema=pyarrow.schema(...)."
                )
            if exists:
                client.command(f"DROP TABLE IF EXISTS {self._table}")
            client.command(self._create(wanted))

    def _check_order(self, client: Any) -> None:
        wanted = self._settings.order_by
        if wanted is None:
            return
        statement = str(client.command(f"SHOW CREATE TABLE {self._table}"))
        found = re.search(r"ORDER BY\s+(\([^)]*\)|[\w.]+(?:\(\))?)", statement, re.IGNORECASE)
        if found and _names(found.group(1)) != _names(wanted):
            raise ValueError(
                f"Conflict with order_by. The existing table {self._table} has ORDER BY {found.group(1)}, but the user "
                f"specified ORDER BY {wanted}. Please drop or overwrite the table, or use the same ordering."
            )

    def _create(self, schema: pa.Schema) -> str:
        columns = ", ".join(f"`{field.name}` {_type_of(field)}" for field in schema)
        settings = self._settings
        clauses = [f"ENGINE = {settings.engine}", f"ORDER BY {settings.order_by or _first_key(schema)}"]
        if settings.partition_by:
            clauses.append(f"PARTITION BY {settings.partition_by}")
        if settings.primary_key:
            clauses.append(f"PRIMARY KEY ({settings.primary_key})")
        if settings.settings:
            clauses.append(f"SETTINGS {settings.settings}")
        return f"CREATE TABLE IF NOT EXISTS {self._table} ({columns}) {' '.join(clauses)}"

    def write(self, blocks: Iterable[pa.Table], ctx: TaskContext) -> int:
        """Insert the rows of a task; how many they were."""
        inserted = 0
        with self._server.client() as client:
            for block in blocks:
                table = _conformed(block, self._schema)
                size = self._most_rows or max(1, table.num_rows)
                for start in range(0, table.num_rows, size):
                    part = table.slice(start, size)
                    client.insert_arrow(self._table, part)
                    inserted += part.num_rows
        return inserted


def _conformed(block: pa.Table, schema: pa.Schema | None) -> pa.Table:
    return block if schema is None else block.select(schema.names).cast(schema)


def _names(clause: str) -> list[str]:
    return [name.strip(" `") for name in clause.strip().strip("()").split(",")]


_TYPES = {
    pa.bool_(): "Bool",
    pa.int8(): "Int8",
    pa.int16(): "Int16",
    pa.int32(): "Int32",
    pa.int64(): "Int64",
    pa.uint8(): "UInt8",
    pa.uint16(): "UInt16",
    pa.uint32(): "UInt32",
    pa.uint64(): "UInt64",
    pa.float16(): "Float32",
    pa.float32(): "Float32",
    pa.float64(): "Float64",
    pa.date32(): "Date32",
}


def _type_of(field: pa.Field) -> str:
    """The server's type for a column; one that may hold nulls says so."""
    kind = field.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"Array({_type_of(pa.field('item', kind.value_type))})"
    name = _TYPES.get(kind, "String")
    if pa.types.is_timestamp(kind):
        name = f"DateTime64({ {'s': 0, 'ms': 3, 'us': 6, 'ns': 9}[kind.unit] })"
    if pa.types.is_decimal(kind):
        name = f"Decimal({kind.precision}, {kind.scale})"
    return f"Nullable({name})" if field.nullable else name


def _first_key(schema: pa.Schema) -> str:
    """The first column that is never null, since a sorting key may not be; none if there is no such column."""
    for field in schema:
        if not field.nullable and not pa.types.is_nested(field.type):
            return f"`{field.name}`"
    return "tuple()"


__all__ = ["ClickHouseDatasink", "ClickHouseDatasource", "ClickHouseTableSettings", "SinkMode"]
