"""Tables shared by the Delta Sharing protocol: files behind links that hold for a while."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from skate.data import convert
from skate.data.block import BlockMetadata
from skate.data.datasource.datasource import Datasource, ReadTask
from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIMEOUT_SECONDS = 60.0


def _sharing(part: str) -> Any:
    return require_module(f"delta_sharing.{part}", "delta-sharing")


def _parsed(url: str) -> tuple[str, list[str]]:
    """The profile and the three parts of the table's name."""
    profile, _, name = url.rpartition("#")
    parts = name.split(".")
    if not profile or len(parts) != 3 or not all(parts):
        raise ValueError(f"Invalid 'url': {url}: it must be <profile>#<share>.<schema>.<table>.")
    return profile, parts


class DeltaSharingDatasource(Datasource):
    """The rows of a shared table, in parts of whole files.

    Args:
        url: The profile file and the table, as `profile#share.schema.table`.
        json_predicate_hints: Conditions that the server may use to leave out files.
        limit: About how many rows to read; None for all.
        version: The table's version.
        timestamp: The version that was the latest at this time.

    Raises:
        ImportError: delta-sharing is missing.
        ValueError: the URL does not have that form.
    """

    def __init__(
        self,
        url: str,
        json_predicate_hints: str | None = None,
        limit: int | None = None,
        version: int | None = None,
        timestamp: str | None = None,
    ) -> None:
        _sharing("rest_client")
        super().__init__()
        _parsed(url)
        self._url = url
        self._hints, self._limit = json_predicate_hints, limit
        self._version, self._timestamp = version, timestamp

    def get_name(self) -> str:
        """`DeltaSharing`."""
        return "DeltaSharing"

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown."""
        return None

    def setup_delta_sharing_connections(self, url: str) -> tuple[Any, Any]:
        """The table of a URL, and a client of its server.

        Args:
            url: The profile file and the table, as `profile#share.schema.table`.

        Raises:
            ValueError: the URL does not have that form.
        """
        profile, (share, schema, name) = _parsed(url)
        protocol = _sharing("protocol")
        client = _sharing("rest_client").DataSharingRestClient(
            protocol.DeltaSharingProfile.read_from_file(profile)
        )
        return protocol.Table(name=name, share=share, schema=schema), client

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Parts of the files that the server names."""
        table, client = self.setup_delta_sharing_connections(self._url)
        answer = client.list_files_in_table(
            table,
            jsonPredicateHints=self._hints,
            limitHint=self._limit,
            version=self._version,
            timestamp=self._timestamp,
        )
        files = list(answer.add_files)
        parts = max(1, min(parallelism, len(files)))
        meta = BlockMetadata(None, None, None)
        return [
            ReadTask(
                _ReadFiles(
                    files[part * len(files) // parts : (part + 1) * len(files) // parts], answer.metadata
                ),
                meta,
                None,
                per_task_row_limit,
            )
            for part in range(parts)
        ]


class _ReadFiles:
    def __init__(self, files: list[Any], metadata: Any) -> None:
        self._files = [(file.url, dict(file.partition_values or {})) for file in files]
        self._types = {field["name"]: field["type"] for field in json.loads(metadata.schema_string)["fields"]}

    def __call__(self) -> Iterator[pa.Table]:
        import urllib.request

        for url, partition in self._files:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:
                table = pq.read_table(pa.BufferReader(answer.read()))
            for name, value in partition.items():
                kind = _TYPES.get(self._types[name], pa.string())
                column = pa.array([value] * table.num_rows, pa.string()).cast(kind)
                table = table.append_column(name, column)
            wanted = [name for name in self._types if name in table.column_names]
            yield convert.normalise(table.select(wanted).replace_schema_metadata(None))


_TYPES = {
    "boolean": pa.bool_(),
    "byte": pa.int8(),
    "short": pa.int16(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}


__all__ = ["DeltaSharingDatasource"]
