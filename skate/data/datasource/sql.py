"""Databases with a Python DB-API driver: SQLite, PostgreSQL, MySQL and others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from skate.data import convert
from skate.data.block import BlockMetadata
from skate.data.datasource.datasink import Datasink, TaskContext
from skate.data.datasource.datasource import Datasource, ReadTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pyarrow as pa

# What a connection factory returns: whatever the driver has.
Connection: TypeAlias = Any

_FETCH_ROWS = 16_384
_INSERT_ROWS = 1024


def _rows_as_table(names: list[str], rows: list[Any]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return convert.table_from_columns(
        {name: list(values) for name, values in zip(names, columns, strict=True)}
    )


class SQLDatasource(Datasource):
    """The answer to a query.

    Args:
        sql: The query.
        connection_factory: Opens a connection; it is called in each task that reads.
        sql_params: Parameters of the query.
        shard_keys: Columns whose hash divides the answer among tasks; None reads in one task.
        shard_hash_fn: The database's hash function for that.
    """

    def __init__(
        self,
        sql: str,
        connection_factory: Callable[[], Any],
        sql_params: Any = None,
        shard_keys: list[str] | None = None,
        shard_hash_fn: str = "MD5",
    ) -> None:
        self._sql, self._connect, self._params = sql, connection_factory, sql_params
        self._keys, self._hash = shard_keys, shard_hash_fn

    def get_name(self) -> str:
        """`SQL`."""
        return "SQL"

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown."""
        return None

    def _shard(self, part: int, parts: int) -> str:
        keys = self._keys or []
        joined = keys[0] if len(keys) == 1 else f"CONCAT({', '.join(keys)})"
        # The remainder first: the smallest whole number has no absolute value. Rows whose key is null are in part 0.
        number = f"COALESCE(ABS(MOD({self._hash}({joined}), {parts})), 0)"
        return f"SELECT * FROM ({self._sql}) as T WHERE {number} = {part}"

    def _can_shard(self, parts: int) -> bool:
        """Whether the database understands a part of the query."""
        connection = self._connect()
        try:
            _execute(connection.cursor(), self._shard(0, parts), self._params)
        except Exception:  # noqa: BLE001 - each driver has its own errors, and any of them means no
            return False
        finally:
            connection.close()
        return True

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """A part of the answer for each task, or all of it for one."""
        queries = [self._sql]
        if self._keys and parallelism > 1 and self._can_shard(parallelism):
            queries = [self._shard(part, parallelism) for part in range(parallelism)]
        meta = BlockMetadata(None, None, None)
        return [
            ReadTask(_ReadQuery(query, self._connect, self._params), meta, None, per_task_row_limit)
            for query in queries
        ]


def _execute(cursor: Any, query: str, params: Any) -> None:
    if params is None:
        cursor.execute(query)
    else:
        cursor.execute(query, params)


class _ReadQuery:
    def __init__(self, query: str, connect: Callable[[], Any], params: Any) -> None:
        self._query, self._connect, self._params = query, connect, params

    def __call__(self) -> Iterator[pa.Table]:
        connection = self._connect()
        try:
            cursor = connection.cursor()
            _execute(cursor, self._query, self._params)
            names = [column[0] for column in cursor.description]
            seen = False
            while rows := cursor.fetchmany(_FETCH_ROWS):
                seen = True
                yield _rows_as_table(names, rows)
            if not seen:
                yield _rows_as_table(names, [])
        finally:
            connection.close()


class SQLDatasink(Datasink[None]):
    """Inserts rows by a statement, in one transaction for each task.

    Args:
        sql: The statement, with a placeholder for each column.
        connection_factory: Opens a connection; it is called in each task that writes.
    """

    def __init__(self, sql: str, connection_factory: Callable[[], Any]) -> None:
        self._sql, self._connect = sql, connection_factory

    def write(self, blocks: Iterable[pa.Table], ctx: TaskContext) -> None:
        """Insert the rows of a task; nothing is kept if one of them fails."""
        connection = self._connect()
        try:
            cursor = connection.cursor()
            for block in blocks:
                rows = [tuple(row.values()) for row in convert.iter_rows(block)]
                for start in range(0, len(rows), _INSERT_ROWS):
                    cursor.executemany(self._sql, rows[start : start + _INSERT_ROWS])
            connection.commit()
        finally:
            connection.close()


__all__ = ["Connection", "SQLDatasink", "SQLDatasource"]
