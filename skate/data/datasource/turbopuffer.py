"""Turbopuffer, a store of vectors that is reached over HTTP."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from skate.data import convert
from skate.data.datasource.datasink import Datasink
from skate.data.datasource.retry import with_retries
from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from skate.data.datasource.datasink import TaskContext

_ATTEMPTS = 5


class TurbopufferDatasink(Datasink[None]):
    """Writes rows as documents into a namespace, or into those that a column names.

    Rows without an identifier are left out.

    Args:
        namespace: The namespace.
        namespace_column: The column that names each row's namespace; it is not written.
        region: The region of the service.
        base_url: The address of the service, instead of a region.
        api_key: The key; None takes the environment variable TURBOPUFFER_API_KEY.
        schema: The types of the columns, as the service takes them.
        id_column: The column of identifiers; the service calls it `id`.
        vector_column: The column of vectors; the service calls it `vector`.
        batch_size: Rows of a request, at most.
        distance_metric: How far apart two vectors are.
        concurrency: Accepted for Ray's programs: `write_datasink` takes it.

    Raises:
        ImportError: turbopuffer is missing.
        ValueError: arguments exclude each other, or one is missing.
    """

    def __init__(
        self,
        namespace: str | None = None,
        *,
        namespace_column: str | None = None,
        region: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        schema: dict[str, Any] | None = None,
        id_column: str = "id",
        vector_column: str = "vector",
        batch_size: int = 10000,
        distance_metric: str = "cosine_distance",
        concurrency: int | None = None,
    ) -> None:
        require_module("turbopuffer")
        _one_of("namespace", namespace, "namespace_column", namespace_column)
        _one_of("region", region, "base_url", base_url)
        if id_column == vector_column:
            raise ValueError(
                f"id_column and vector_column refer to the same column '{id_column}'. They must be distinct."
            )
        if namespace_column is not None and namespace_column in (id_column, vector_column):
            raise ValueError(
                f"namespace_column '{namespace_column}' must not be the same as id_column ('{id_column}') or vector_column "
                f"('{vector_column}'): it is not written."
            )
        self.namespace, self.namespace_column = namespace, namespace_column
        self.region, self.base_url = region, base_url
        self.api_key = api_key or os.environ.get("TURBOPUFFER_API_KEY")
        if not self.api_key:
            raise ValueError(
                "API key is required. Provide via api_key parameter or TURBOPUFFER_API_KEY environment variable."
            )
        self.schema = schema
        self.id_column, self.vector_column = id_column, vector_column
        self.batch_size = batch_size
        self.distance_metric = distance_metric

    @property
    def supports_distributed_writes(self) -> bool:
        """Any machine can write to it."""
        return True

    def write(self, blocks: Iterable[pa.Table], ctx: TaskContext) -> None:
        """Write the rows of a task.

        Raises:
            ValueError: there is no column of that name, or two would have one name; or a row names no namespace.
        """
        client: Any = None
        for block in blocks:
            if not block.num_rows:
                continue
            if client is None:
                place = {"region": self.region} if self.region else {"base_url": self.base_url}
                client = require_module("turbopuffer").Turbopuffer(api_key=self.api_key, **place)
            for name, part in self._by_namespace(block):
                self._write_rows(client.namespace(name), name, self._documents(part))

    def _by_namespace(self, table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        column = self.namespace_column
        if column is None:
            yield str(self.namespace), table
            return
        if column not in table.column_names:
            raise ValueError(
                f"Namespace column '{column}' not found in table. Available columns: {table.column_names}"
            )
        if table.column(column).null_count:
            raise ValueError(
                f"Namespace column '{column}' contains null values; fill or drop them before writing."
            )
        for value in table.column(column).unique():
            yield (
                str(value.as_py()),
                table.filter(pc.equal(table.column(column), value)).drop_columns([column]),
            )

    def _documents(self, table: pa.Table) -> pa.Table:
        table = _renamed(_renamed(table, "ID", self.id_column, "id"), "Vector", self.vector_column, "vector")
        return table.filter(pc.is_valid(table.column("id")))

    def _write_rows(self, namespace: Any, name: str, table: pa.Table) -> None:
        for start in range(0, table.num_rows, self.batch_size):
            part = table.slice(start, self.batch_size)
            columns = {column: _values(part.column(column)) for column in part.column_names}
            options = {} if self.schema is None else {"schema": self.schema}
            with_retries(
                f"writing {part.num_rows} rows to the namespace {name}",
                lambda columns=columns, options=options: namespace.write(  # type: ignore[misc]
                    upsert_columns=columns, distance_metric=self.distance_metric, **options
                ),
                attempts=_ATTEMPTS,
            )


def _one_of(first: str, one: str | None, second: str, other: str | None) -> None:
    if one and other:
        raise ValueError(f"Specify exactly one of '{first}' or '{second}', not both.")
    if not one and not other:
        raise ValueError(f"Either '{first}' or '{second}' must be provided.")


def _renamed(table: pa.Table, what: str, source: str, target: str) -> pa.Table:
    if source not in table.column_names:
        raise ValueError(
            f"{what} column '{source}' not found in table: it has the columns {table.column_names}."
        )
    if source == target:
        return table
    if target in table.column_names:
        raise ValueError(
            f"Table already has a '{target}' column; cannot also rename '{source}' to '{target}': drop or rename one of "
            "them before writing."
        )
    return table.rename_columns([target if name == source else name for name in table.column_names])


def _values(column: pa.ChunkedArray) -> list[Any]:
    """The items as JSON has them: a vector is a list."""
    return [item.tolist() if hasattr(item, "tolist") else item for item in convert.column_to_list(column)]


__all__ = ["TurbopufferDatasink"]
