"""BigQuery tables and queries: rows come and go by Google's own clients."""

from __future__ import annotations

import io
import logging
import time
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from skate.data import convert
from skate.data.block import BlockMetadata
from skate.data.datasource.datasink import Datasink, TaskContext
from skate.data.datasource.datasource import Datasource, ReadTask
from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_RETRY_SECONDS = 11.0  # the interval in which the quota of a table's changes is counted

_log = logging.getLogger(__name__)


def _bigquery() -> Any:
    return require_module("google.cloud.bigquery", "google-cloud-bigquery")


def _storage() -> Any:
    return require_module("google.cloud.bigquery_storage", "google-cloud-bigquery-storage")


class BigQueryDatasource(Datasource):
    """A table, or the answer to a query, a task for each stream that the service offers.

    Args:
        project_id: The project that pays.
        dataset: The table, as `dataset.table`.
        query: The query to read instead.

    Raises:
        ImportError: a package of Google's is missing.
        ValueError: both are given, or neither.
    """

    def __init__(self, project_id: str, dataset: str | None = None, query: str | None = None) -> None:
        _bigquery()
        _storage()
        super().__init__()
        if query is not None and dataset is not None:
            raise ValueError("Query and dataset kwargs cannot both be provided (must be mutually exclusive).")
        if query is None and dataset is None:
            raise ValueError("One of query and dataset must be provided.")
        self._project, self._dataset, self._query = project_id, dataset, query

    def get_name(self) -> str:
        """`BigQuery`."""
        return "BigQuery"

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown."""
        return None

    def _table(self) -> tuple[str, str]:
        """The dataset and the table to read; a query is run, and its answer lies in one for a day."""
        client = _bigquery().Client(project=self._project)
        if self._query is not None:
            job = client.query(self._query)
            job.result()
            return str(job.destination.dataset_id), str(job.destination.table_id)
        missing = require_module("google.api_core.exceptions", "google-api-core").NotFound
        dataset, _, table = str(self._dataset).partition(".")
        try:
            client.get_dataset(dataset)
        except missing as error:
            raise ValueError(f"Dataset {dataset} is not found. Please ensure that it exists.") from error
        try:
            client.get_table(self._dataset)
        except missing as error:
            raise ValueError(f"Table {self._dataset} is not found. Please ensure that it exists.") from error
        return dataset, table

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """A task for each stream.

        Raises:
            ValueError: there is no such dataset or table.
        """
        dataset, table = self._table()
        types = _storage().types
        session = (
            _storage()
            .BigQueryReadClient()
            .create_read_session(
                parent=f"projects/{self._project}",
                read_session=types.ReadSession(
                    table=f"projects/{self._project}/datasets/{dataset}/tables/{table}",
                    data_format=types.DataFormat.ARROW,
                ),
                max_stream_count=parallelism,
            )
        )
        meta = BlockMetadata(None, None, None)
        return [ReadTask(_ReadStream(s.name), meta, None, per_task_row_limit) for s in session.streams]


class _ReadStream:
    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self) -> Iterator[pa.Table]:
        yield convert.normalise(_storage().BigQueryReadClient().read_rows(self._name).to_arrow())


class BigQueryDatasink(Datasink[None]):
    """Loads rows into a table by load jobs, one for each block.

    Args:
        project_id: The project.
        dataset: The table, as `dataset.table`; the dataset is made if it is missing.
        max_retry_cnt: How often a load is tried when the service says that there are too many.
        overwrite_table: Whether a table that is there is deleted first.

    Raises:
        ImportError: a package of Google's is missing.
    """

    def __init__(
        self, project_id: str, dataset: str, max_retry_cnt: int = 10, overwrite_table: bool | None = True
    ) -> None:
        _bigquery()
        self._project, self._dataset = project_id, dataset
        self._retries, self._overwrite = max_retry_cnt, overwrite_table

    def on_write_start(self, schema: Any = None) -> None:
        """Make the dataset, and delete the table if it is to be replaced.

        Raises:
            ValueError: the project or the table is not named.
        """
        if not self._project or not self._dataset:
            raise ValueError("project_id and dataset are required args")
        client = _bigquery().Client(project=self._project)
        client.create_dataset(self._dataset.partition(".")[0], exists_ok=True)
        if self._overwrite:
            client.delete_table(f"{self._project}.{self._dataset}", not_found_ok=True)

    def write(self, blocks: Iterable[pa.Table], ctx: TaskContext) -> None:
        """Load the rows of a task.

        Raises:
            RuntimeError: the service refuses them, again and again.
        """
        bigquery = _bigquery()
        client = bigquery.Client(project=self._project)
        options = bigquery.LoadJobConfig(autodetect=True)
        options.source_format = bigquery.SourceFormat.PARQUET
        options.write_disposition = bigquery.WriteDisposition.WRITE_APPEND
        for block in blocks:
            buffer = io.BytesIO()
            pq.write_table(block, buffer)
            self._load(client, buffer, options)

    def _load(self, client: Any, buffer: io.BytesIO, options: Any) -> None:
        errors = require_module("google.api_core.exceptions", "google-api-core")
        for attempt in range(self._retries + 1):
            buffer.seek(0)
            try:
                client.load_table_from_file(buffer, self._dataset, job_config=options).result()
                return
            except (errors.Forbidden, errors.TooManyRequests) as error:
                if attempt == self._retries:
                    raise RuntimeError(
                        f"Write failed due to {attempt} repeated API rate limit exceeded responses: {error}. Consider "
                        "specifying the max_retry_cnt kwarg with a higher value."
                    ) from error
                _log.warning("BigQuery refuses a load for now, and it is tried again: %s", error)
                time.sleep(_RETRY_SECONDS)


__all__ = ["BigQueryDatasink", "BigQueryDatasource"]
