"""Snowflake: queries by its DB-API driver, and tables filled with its bulk loader."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from skate.data import convert
from skate.data.datasource.datasink import Datasink, TaskContext
from skate.data.datasource.sql import SQLDatasource
from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

_PACKAGE = "snowflake-connector-python"


def _connect(parameters: dict[str, Any]) -> Any:
    return require_module("snowflake.connector", _PACKAGE).connect(**parameters)


class SnowflakeDatasource(SQLDatasource):
    """The answer to a query.

    Args:
        sql: The query.
        connection_parameters: Arguments of `snowflake.connector.connect`.
        shard_keys: Columns whose hash divides the answer among tasks; None reads in one task.

    Raises:
        ImportError: snowflake-connector-python is missing.
    """

    def __init__(
        self, sql: str, connection_parameters: dict[str, Any], shard_keys: list[str] | None = None
    ) -> None:
        require_module("snowflake.connector", _PACKAGE)
        super().__init__(sql, functools.partial(_connect, connection_parameters), None, shard_keys, "HASH")

    def get_name(self) -> str:
        """`Snowflake`."""
        return "Snowflake"


class SnowflakeDatasink(Datasink[None]):
    """Loads rows into a table, which must exist or is made with the first rows.

    Args:
        table: The table.
        connection_parameters: Arguments of `snowflake.connector.connect`.

    Raises:
        ImportError: snowflake-connector-python is missing.
    """

    def __init__(self, table: str, connection_parameters: dict[str, Any]) -> None:
        require_module("snowflake.connector", _PACKAGE)
        self._table, self._parameters = table, connection_parameters

    def write(self, blocks: Iterable[pa.Table], ctx: TaskContext) -> None:
        """Load the rows of a task."""
        tools = require_module("snowflake.connector.pandas_tools", f"{_PACKAGE}[pandas]")
        table = convert.concat(blocks)
        if table.num_rows == 0:
            return
        connection = _connect(self._parameters)
        try:
            frame = table.replace_schema_metadata(None).to_pandas()
            tools.write_pandas(connection, frame, self._table.upper(), auto_create_table=True)
        finally:
            connection.close()


__all__ = ["SnowflakeDatasink", "SnowflakeDatasource"]
