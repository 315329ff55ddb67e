"""Lance datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from skate.data import convert
from skate.data.block import BlockMetadata
from skate.data.datasource.datasink import Datasink, TaskContext, WriteResult
from skate.data.datasource.datasource import Datasource, ReadTask
from skate.data.interop import require_module
from skate.data.options import SaveMode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MODES = (SaveMode.CREATE, SaveMode.APPEND, SaveMode.OVERWRITE)


def _lance() -> Any:
    return require_module("lance", "pylance")


class LanceDatasource(Datasource):
    """The rows of one or more Lance datasets, in parts of whole fragments.

    Args:
        uri: A dataset or several.
        version: A version's number or tag; None for the latest.
        columns: The columns to read; None for all.
        filter: Rows to read, as SQL.
        storage_options: Credentials and settings of the store.
        scanner_options: Further arguments of Lance's scanner.

    Raises:
        ImportError: pylance is missing.
        ValueError: there is no dataset.
    """

    def __init__(
        self,
        uri: str | list[str],
        version: int | str | None = None,
        columns: list[str] | None = None,
        filter: str | None = None,
        storage_options: dict[str, str] | None = None,
        scanner_options: dict[str, Any] | None = None,
    ) -> None:
        _lance()
        super().__init__()
        if not uri:
            raise ValueError("`uri` must not be empty.")
        self._uris = [uri] if isinstance(uri, str) else list(uri)
        self._version, self._storage = version, storage_options
        self._scan = dict(scanner_options or {})
        if "fragments" in self._scan and len(self._uris) > 1:
            raise ValueError(
                "scanner_options['fragments'] is not supported when reading multiple Lance datasets."
            )
        if columns is not None:
            self._scan["columns"] = columns
        if filter is not None:
            self._scan["filter"] = filter

    def _open(self, uri: str) -> Any:
        return _lance().dataset(uri, version=self._version, storage_options=self._storage)

    def get_name(self) -> str:
        """`Lance`."""
        return "Lance"

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown."""
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Parts of the fragments."""
        found: list[tuple[str, int, int, list[str]]] = []
        for uri in self._uris:
            dataset = self._open(uri)
            for fragment in self._scan.get("fragments") or dataset.get_fragments():
                files = [file.path for file in fragment.data_files()]
                found.append((uri, fragment.fragment_id, fragment.count_rows(), files))
        schema = (
            self._open(self._uris[0]).scanner(**self._scan).projected_schema if len(self._uris) == 1 else None
        )
        exact = "filter" not in self._scan and "limit" not in self._scan
        tasks = []
        parts = max(1, min(parallelism, len(found)))
        for part in range(parts):
            chosen = found[part * len(found) // parts : (part + 1) * len(found) // parts]
            rows = sum(rows for _, _, rows, _ in chosen) if exact else None
            meta = BlockMetadata(
                rows, None, None, input_files=[file for *_, files in chosen for file in files]
            )
            read = _ReadFragments(self, [(uri, number) for uri, number, *_ in chosen])
            tasks.append(ReadTask(read, meta, schema, per_task_row_limit))
        return tasks


class _ReadFragments:
    def __init__(self, source: LanceDatasource, fragments: list[tuple[str, int]]) -> None:
        self._source, self._fragments = source, fragments

    def __call__(self) -> Iterator[pa.Table]:
        for uri in dict.fromkeys(uri for uri, _ in self._fragments):
            dataset = self._source._open(uri)
            chosen = [dataset.get_fragment(number) for of, number in self._fragments if of == uri]
            scanner = dataset.scanner(**{**self._source._scan, "fragments": chosen})
            seen = False
            for batch in scanner.to_batches():
                seen = True
                yield convert.normalise(pa.Table.from_batches([batch]))
            if not seen:
                yield convert.normalise(scanner.projected_schema.empty_table())


class LanceDatasink(Datasink["list[Any]"]):
    """Writes a Lance dataset: tasks write fragments, and one commit at the end makes them a version.

    Args:
        uri: The dataset.
        schema: The columns; default: those of the dataset that is written.
        mode: CREATE, APPEND or OVERWRITE.
        min_rows_per_file: The least number of rows that a task writes at once.
        max_rows_per_file: The greatest number of rows of a file.
        data_storage_version: The version of the file format.
        storage_options: Credentials and settings of the store.

    Raises:
        ImportError: pylance is missing.
        ValueError: there is no such mode.
    """

    def __init__(
        self,
        uri: str,
        schema: pa.Schema | None = None,
        mode: SaveMode = SaveMode.CREATE,
        min_rows_per_file: int = 1024 * 1024,
        max_rows_per_file: int = 64 * 1024 * 1024,
        data_storage_version: str | None = None,
        storage_options: dict[str, Any] | None = None,
    ) -> None:
        _lance()
        self._mode = SaveMode(mode)
        if self._mode not in _MODES:
            raise ValueError(
                f"Unsupported Lance write mode: {mode!r}. Supported modes are SaveMode.CREATE, SaveMode.APPEND, and "
                "SaveMode.OVERWRITE."
            )
        self._uri, self._schema, self._storage = uri, schema, storage_options
        self._least, self._most, self._format = min_rows_per_file, max_rows_per_file, data_storage_version
        self._read_version: int | None = None

    def get_name(self) -> str:
        """`Lance`."""
        return "Lance"

    @property
    def min_rows_per_write(self) -> int | None:
        """The least number of rows that a task writes at once."""
        return self._least

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        """Look for what is there.

        Raises:
            ValueError: it is there, and the mode is CREATE; or it is not, and the mode is APPEND.
        """
        lance = _lance()
        try:
            existing = lance.dataset(self._uri, storage_options=self._storage)
        except ValueError as error:
            if "was not found" not in str(error):  # it may be there, and is not to be overwritten unseen
                raise
            existing = None
        if existing is None:
            if self._mode is SaveMode.APPEND:
                raise ValueError(
                    f"There is no Lance dataset at {self._uri} to append to: use mode=SaveMode.CREATE."
                )
            return
        if self._mode is SaveMode.CREATE:
            raise ValueError(
                f"Dataset at {self._uri} already exists. Use mode=SaveMode.OVERWRITE to replace it, or "
                "mode=SaveMode.APPEND to add to it."
            )
        self._read_version = existing.version
        if self._mode is SaveMode.APPEND and self._schema is None:
            self._schema = existing.schema

    def write(self, blocks: Iterable[pa.Table], ctx: TaskContext) -> list[Any]:
        """Write the rows of a task to fragments, which are part of nothing yet."""
        table = convert.concat(blocks).replace_schema_metadata(None)
        if table.num_rows == 0:
            return []
        if self._schema is not None:
            table = _conformed(table, self._schema)
        fragments = _lance().fragment.write_fragments(
            table,
            self._uri,
            schema=table.schema,
            max_rows_per_file=self._most,
            data_storage_version=self._format,
            storage_options=self._storage,
        )
        return [(fragments, table.schema)]

    def on_write_complete(self, write_result: WriteResult[list[Any]]) -> None:
        """Make all fragments a version of the dataset."""
        lance = _lance()
        returned = [item for items in write_result.write_returns for item in items]
        fragments = [fragment for part, _ in returned for fragment in part]
        if not fragments:
            return
        schema = self._schema or convert.unify_schemas([schema for _, schema in returned])
        if self._mode is SaveMode.APPEND:
            operation = lance.LanceOperation.Append(fragments)
        else:
            operation = lance.LanceOperation.Overwrite(schema, fragments)
        lance.LanceDataset.commit(
            self._uri, operation, read_version=self._read_version, storage_options=self._storage
        )


def lance_location(
    path: str | None,
    mode: SaveMode,
    table_id: list[str] | None,
    namespace_impl: str | None,
    namespace_properties: dict[str, str] | None,
) -> str:
    """Where a new table of a namespace is to lie.

    Raises:
        ImportError: lance-namespace is missing.
        ValueError: only a part of what names the table is given, or the table is not to be new.
    """
    if table_id is None or namespace_impl is None:
        raise ValueError("Must provide either 'uri' or ('namespace_impl' and 'table_id').")
    if SaveMode(mode) is not SaveMode.CREATE:
        raise ValueError("Namespace writes currently only support mode='create'. Use mode='create' for now.")
    module = require_module("lance_namespace", "lance-namespace")
    namespace = module.connect(namespace_impl, namespace_properties or {})
    answer = namespace.declare_table(module.DeclareTableRequest(id=table_id, location=path))
    return str(answer.location or path)


def _conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    extra = [name for name in table.column_names if name not in schema.names]
    if extra:
        raise ValueError(
            f"Data has columns not present in the target Lance schema: {extra}. Appending new columns is not supported; "
            "select only the existing columns (e.g. ds.select_columns(...)) before writing."
        )
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


__all__ = ["LanceDatasink", "LanceDatasource", "lance_location"]
