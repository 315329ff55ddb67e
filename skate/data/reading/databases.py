"""Datasets read from databases and message logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.datasource.bigquery import BigQueryDatasource
from skate.data.datasource.clickhouse import ClickHouseDatasource
from skate.data.datasource.databricks import DatabricksUCDatasource, EnvironmentCredentialProvider
from skate.data.datasource.kafka import KafkaDatasource
from skate.data.datasource.mongo import MongoDatasource
from skate.data.datasource.snowflake import SnowflakeDatasource
from skate.data.datasource.sql import SQLDatasource
from skate.data.reading.arguments import read_from, reader

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from skate.data.dataset import Dataset
    from skate.data.datasource.databricks import DatabricksCredentialProvider
    from skate.data.datasource.kafka import KafkaAuthConfig, PerPartitionOffsets


@reader
def read_sql(
    sql: str,
    connection_factory: Callable[[], Any],
    *,
    sql_params: Any = None,
    shard_keys: list[str] | None = None,
    shard_hash_fn: str = "MD5",
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Read the answer to a query from a database with a Python DB-API driver.

    Args:
        sql: The query.
        connection_factory: Opens a connection; it is called in each task that reads.
        sql_params: Parameters of the query.
        shard_keys: Columns whose hash divides the answer among tasks; None reads in one task.
        shard_hash_fn: The database's hash function for that; it must give a number.

    Raises:
        ValueError: `override_num_blocks` asks for several blocks, and there are no `shard_keys`.

    Example:
        >>> import skate.data, sqlite3
        >>> skate.data.read_sql("select 1 as one", lambda: sqlite3.connect(":memory:")).take_all()
        [{'one': 1}]
    """
    given = locals()
    if not shard_keys and override_num_blocks is not None and override_num_blocks > 1:
        raise ValueError(
            f"shard_keys must be provided when override_num_blocks > 1, and it is {override_num_blocks}: name columns whose "
            "hash divides the answer, or repartition it after reading."
        )
    source = SQLDatasource(sql, connection_factory, sql_params, shard_keys, shard_hash_fn)
    return read_from(source, given, override_num_blocks=override_num_blocks if shard_keys else 1)


@reader
def read_snowflake(
    sql: str,
    connection_parameters: dict[str, Any],
    *,
    shard_keys: list[str] | None = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Read the answer to a query from Snowflake.

    Args:
        sql: The query.
        connection_parameters: Arguments of `snowflake.connector.connect`.
        shard_keys: Columns whose hash divides the answer among tasks; None reads in one task.

    Raises:
        ImportError: snowflake-connector-python is missing.
    """
    given = locals()
    source = SnowflakeDatasource(sql, connection_parameters, shard_keys)
    return read_from(source, given, override_num_blocks=override_num_blocks if shard_keys else 1)


@reader
def read_databricks_tables(
    *,
    warehouse_id: str,
    table: str | None = None,
    query: str | None = None,
    catalog: str | None = None,
    schema: str | None = None,
    credential_provider: DatabricksCredentialProvider | None = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Read a table, or the answer to a query, from a Databricks SQL warehouse.

    Args:
        warehouse_id: The warehouse.
        table: The table to read.
        query: The query to read instead of a table.
        catalog: The catalog that names are in.
        schema: The schema that names are in.
        credential_provider: Who asks; default: the environment variables `DATABRICKS_TOKEN` and `DATABRICKS_HOST`.

    Raises:
        ValueError: not exactly one of `table` and `query` is given, or there are no credentials.
    """
    given = locals()
    if query is not None and table is not None:
        raise ValueError("Only one of 'query' and 'table' arguments can be set.")
    if query is None and table is None:
        raise ValueError("One of 'query' and 'table' arguments should be set.")
    source = DatabricksUCDatasource(
        warehouse_id,
        catalog,
        schema,
        query or f"select * from {table}",
        credential_provider or EnvironmentCredentialProvider(),
    )
    return read_from(source, given)


@reader
def read_mongo(
    uri: str,
    database: str,
    collection: str,
    *,
    pipeline: list[dict[str, Any]] | None = None,
    schema: Any = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **mongo_args: Any,
) -> Dataset:
    """Read a MongoDB collection, or what a pipeline makes of it.

    Args:
        uri: The server's address.
        database: The database.
        collection: The collection.
        pipeline: Stages of an aggregation; None for all documents.
        schema: A schema of `pymongoarrow` or of Arrow; None finds the types by the values.
        mongo_args: Further arguments of the aggregation.

    Raises:
        ImportError: pymongo is missing.
        ValueError: there is no such database or collection.
    """
    given = locals()
    source = MongoDatasource(uri, database, collection, pipeline, schema, **mongo_args)
    return read_from(source, given)


@reader
def read_clickhouse(
    *,
    table: str,
    dsn: str,
    columns: list[str] | None = None,
    filter: str | None = None,
    order_by: tuple[list[str], bool] | None = None,
    client_settings: dict[str, Any] | None = None,
    client_kwargs: dict[str, Any] | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Read a ClickHouse table or view.

    Args:
        table: Its name.
        dsn: The server's address, as `clickhouse+http://user:password@host:port/database`.
        columns: The columns to read; None for all.
        filter: A condition, as it stands after WHERE.
        order_by: Columns, and whether the order is descending. Only with an order can several tasks read.
        client_settings: Settings of the server for each query.
        client_kwargs: Further arguments of the client.

    Raises:
        ImportError: clickhouse-connect is missing.
        ValueError: the server refuses the filter.
    """
    given = locals()
    source = ClickHouseDatasource(table, dsn, columns, filter, order_by, client_settings, client_kwargs)
    return read_from(source, given)


@reader
def read_bigquery(
    project_id: str,
    dataset: str | None = None,
    query: str | None = None,
    *,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Read a BigQuery table, or the answer to a query.

    Args:
        project_id: The project that pays.
        dataset: The table, as `dataset.table`.
        query: The query to read instead of a table.

    Raises:
        ImportError: a package of Google's is missing.
        ValueError: both a table and a query are given, or neither, or there is no such table.
    """
    given = locals()
    return read_from(BigQueryDatasource(project_id, dataset, query), given)


@reader
def read_kafka(
    topics: str | list[str],
    *,
    bootstrap_servers: str | list[str],
    trigger: str = "once",
    start_offset: int | datetime | str | PerPartitionOffsets = "earliest",
    end_offset: int | datetime | str | PerPartitionOffsets = "latest",
    kafka_auth_config: KafkaAuthConfig | None = None,
    consumer_config: dict[str, Any] | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    override_num_blocks: int | None = None,
    timeout_ms: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Read the messages of Kafka topics between two offsets.

    Args:
        topics: A topic or several.
        bootstrap_servers: Brokers, as `host:port`.
        trigger: `"once"`: the read is bounded.
        start_offset: An offset, a time, `"earliest"`, or offsets by topic and partition.
        end_offset: The same, not included; or `"latest"`, the end at the time of reading.
        kafka_auth_config: How to authenticate; `consumer_config` says the same in librdkafka's names.
        consumer_config: Options of librdkafka.
        timeout_ms: After so long a task stops, with what it has; None waits for the end.

    Raises:
        ImportError: confluent-kafka is missing.
        ValueError: an argument can't be right, or there is no such topic.
    """
    given = locals()
    if trigger != "once":
        raise ValueError(f"Only trigger='once' is supported. Got trigger={trigger!r}")
    source = KafkaDatasource(
        topics, bootstrap_servers, start_offset, end_offset, kafka_auth_config, consumer_config, timeout_ms
    )
    return read_from(source, given)


__all__ = [
    "read_bigquery",
    "read_clickhouse",
    "read_databricks_tables",
    "read_kafka",
    "read_mongo",
    "read_snowflake",
    "read_sql",
]
