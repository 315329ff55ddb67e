"""Hudi tables, by way of the `hudi` package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from skate.data import convert
from skate.data.block import BlockMetadata
from skate.data.datasource.datasource import Datasource, ReadTask
from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Iterator


class HudiDatasource(Datasource):
    """The rows of a table, in parts of whole file slices.

    Args:
        table_uri: The table's folder or address.
        query_type: `"snapshot"` or `"incremental"`.
        filters: Conditions on partition columns, as (column, operator, value).
        hudi_options: Options of Hudi.
        storage_options: Credentials and settings of the store.

    Raises:
        ImportError: hudi is missing.
        ValueError: there is no such type of query.
    """

    def __init__(
        self,
        table_uri: str,
        query_type: str = "snapshot",
        filters: list[tuple[str, str, str]] | None = None,
        hudi_options: dict[str, str] | None = None,
        storage_options: dict[str, str] | None = None,
    ) -> None:
        require_module("hudi")
        super().__init__()
        if query_type.lower() not in ("snapshot", "incremental"):
            raise ValueError(f"Invalid query type: {query_type}. Must be one of: 'snapshot', 'incremental'")
        self._uri, self._kind, self._filters = table_uri, query_type.lower(), filters
        self._options = {**(hudi_options or {}), **(storage_options or {})}

    def _table(self) -> Any:
        builder = require_module("hudi").HudiTableBuilder.from_base_uri(self._uri)
        return builder.with_options(self._options).build()

    def get_name(self) -> str:
        """`Hudi`."""
        return "Hudi"

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown."""
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Parts of the file slices, or all of what has changed."""
        unknown = BlockMetadata(None, None, None)
        if self._kind == "incremental":
            return [ReadTask(_ReadChanges(self), unknown, None, per_task_row_limit)]
        splits = self._table().get_file_slices_splits(max(1, parallelism), self._filters)
        tasks = []
        for split in splits:
            paths = [part.base_file_relative_path() for part in split]
            meta = BlockMetadata(sum(part.num_records for part in split), None, None, input_files=paths)
            tasks.append(ReadTask(_ReadSlices(self, paths), meta, None, per_task_row_limit))
        return tasks


class _ReadSlices:
    def __init__(self, source: HudiDatasource, paths: list[str]) -> None:
        self._source, self._paths = source, paths

    def __call__(self) -> Iterator[pa.Table]:
        reader = self._source._table().create_file_group_reader_with_options()
        for path in self._paths:
            yield convert.normalise(_table(reader.read_file_slice_by_base_file_path(path)))


class _ReadChanges:
    def __init__(self, source: HudiDatasource) -> None:
        self._source = source

    def __call__(self) -> Iterator[pa.Table]:
        options = self._source._options
        start = options.get("hoodie.read.file_group.start_timestamp", "")
        end = options.get("hoodie.read.file_group.end_timestamp")
        for batch in self._source._table().read_incremental_records(start, end):
            yield convert.normalise(_table(batch))


def _table(batch: Any) -> pa.Table:
    return batch if isinstance(batch, pa.Table) else pa.Table.from_batches([pa.record_batch(batch)])


__all__ = ["HudiDatasource"]
