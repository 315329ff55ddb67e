"""Methods of `Dataset` that write it to databases, table formats and message logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.catalog import CatalogAccessMode, ReaderFormat
from skate.data.datasource.bigquery import BigQueryDatasink
from skate.data.datasource.clickhouse import ClickHouseDatasink, ClickHouseTableSettings, SinkMode
from skate.data.datasource.delta import DeltaDatasink
from skate.data.datasource.iceberg import IcebergDatasink
from skate.data.datasource.kafka import KafkaDatasink
from skate.data.datasource.lance import LanceDatasink, lance_location
from skate.data.datasource.mongo import MongoDatasink
from skate.data.datasource.snowflake import SnowflakeDatasink
from skate.data.datasource.sql import SQLDatasink
from skate.data.datasource.turbopuffer import TurbopufferDatasink
from skate.data.methods.base import SinkMethods, writer
from skate.data.options import SaveMode

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from skate.data.catalog import Catalog
    from skate.data.expressions import Expr


class StoreWritingMethods(SinkMethods):
    """Databases, table formats, message logs. Each needs a package, and says which if it is missing."""

    @writer
    def write_sql(
        self,
        sql: str,
        connection_factory: Callable[[], Any],
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Insert the rows into a database with a Python DB-API driver.

        Args:
            sql: An INSERT statement, with a placeholder for each column.
            connection_factory: Opens a connection; it is called in each task that writes.
        """
        given = locals()
        sink = SQLDatasink(sql, connection_factory)
        self._write_to(sink, given)

    @writer
    def write_snowflake(
        self,
        table: str,
        connection_parameters: dict[str, Any],
        *,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Load the rows into a Snowflake table.

        Args:
            table: The table; it is made if it is missing.
            connection_parameters: Arguments of `snowflake.connector.connect`.

        Raises:
            ImportError: snowflake-connector-python is missing.
        """
        given = locals()
        self._write_to(SnowflakeDatasink(table, connection_parameters), given)

    @writer
    def write_mongo(
        self,
        uri: str,
        database: str,
        collection: str,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Insert a document for each row into a MongoDB collection.

        Args:
            uri: The server's address.
            database: The database, which must exist.
            collection: The collection, which must exist.

        Raises:
            ImportError: pymongo is missing.
            ValueError: there is no such database or collection.
        """
        given = locals()
        self._write_to(MongoDatasink(uri, database, collection), given)

    @writer
    def write_bigquery(
        self,
        project_id: str,
        dataset: str,
        max_retry_cnt: int = 10,
        overwrite_table: bool | None = True,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Load the rows into a BigQuery table.

        Args:
            project_id: The project.
            dataset: The table, as `dataset.table`; the dataset is made if it is missing.
            max_retry_cnt: How often a load is tried again when the service says that there are too many.
            overwrite_table: Whether a table that is there is deleted first.

        Raises:
            ImportError: a package of Google's is missing.
        """
        given = locals()
        self._write_to(BigQueryDatasink(project_id, dataset, max_retry_cnt, overwrite_table), given)

    @writer
    def write_clickhouse(
        self,
        table: str,
        dsn: str,
        *,
        mode: SinkMode = SinkMode.CREATE,
        schema: pa.Schema | None = None,
        client_settings: dict[str, Any] | None = None,
        client_kwargs: dict[str, Any] | None = None,
        table_settings: ClickHouseTableSettings | None = None,
        max_insert_block_rows: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Insert the rows into a ClickHouse table.

        Args:
            table: The table, `database.table` or `table`.
            dsn: The server's address, as `clickhouse+http://user:password@host:port/database`.
            mode: What to do where the table is already: CREATE refuses, APPEND inserts, OVERWRITE replaces it.
            schema: The columns of a table that is made; default: those of the dataset, where they are known.
            client_settings: Settings of the server for each query.
            client_kwargs: Further arguments of the client.
            table_settings: How a table is made.
            max_insert_block_rows: The greatest number of rows of one insert.

        Raises:
            ImportError: clickhouse-connect is missing.
            ValueError: the table is there and the mode is CREATE, or it must be made and its columns are unknown.
        """
        given = locals()
        sink = ClickHouseDatasink(
            table, dsn, mode, schema, client_settings, client_kwargs, table_settings, max_insert_block_rows
        )
        self._write_to(sink, given)

    @writer
    def write_kafka(
        self,
        topic: str,
        bootstrap_servers: str,
        key_field: str | None = None,
        key_serializer: str = "string",
        value_serializer: str = "json",
        producer_config: dict[str, Any] | None = None,
        *,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Send a message for each row to a Kafka topic.

        Args:
            topic: The topic.
            bootstrap_servers: Brokers, as `host:port`.
            key_field: The column whose value is the message's key; None sends no keys.
            key_serializer: `"string"`, `"json"` or `"bytes"`.
            value_serializer: `"json"`, `"string"` or `"bytes"`.
            producer_config: Options of librdkafka.

        Raises:
            ImportError: confluent-kafka is missing.
            ValueError: there is no such serializer.
        """
        given = locals()
        sink = KafkaDatasink(
            topic, bootstrap_servers, key_field, key_serializer, value_serializer, producer_config
        )
        self._write_to(sink, given)

    @writer
    def write_delta(
        self,
        path: str,
        *,
        catalog: Catalog | None = None,
        mode: SaveMode = SaveMode.APPEND,
        partition_by: list[str] | None = None,
        storage_options: dict[str, Any] | None = None,
        schema_mode: str = "merge",
        filesystem: Any = None,
        name: str | None = None,
        description: str | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Write a Delta Lake table. All rows appear at once, in one version.

        Args:
            path: The table's folder or address, or its name in the catalog.
            partition_by: Columns whose values become folders, of a table that is made.
            schema_mode: `"merge"` adds new columns to the table, `"error"` refuses them.
            name: The name of a table that is made.
            description: The description of a table that is made.

        Raises:
            ImportError: deltalake is missing.
            ValueError: the rows do not fit the table that is there.
        """
        given = locals()
        if catalog is not None:
            found = catalog.resolve(path, reader=ReaderFormat.DELTA, mode=CatalogAccessMode.WRITE)
            path, filesystem = found.path or path, found.filesystem or filesystem
            storage_options = {**(found.storage_options or {}), **(storage_options or {})}
        sink = DeltaDatasink(
            path,
            mode=mode,
            partition_by=partition_by,
            storage_options=storage_options,
            schema_mode=schema_mode,
            filesystem=filesystem,
            name=name,
            description=description,
        )
        self._write_to(sink, given)

    @writer
    def write_iceberg(
        self,
        table_identifier: str,
        catalog_kwargs: dict[str, Any] | None = None,
        catalog: Catalog | None = None,
        snapshot_properties: dict[str, str] | None = None,
        mode: SaveMode = SaveMode.APPEND,
        overwrite_filter: Expr | None = None,
        upsert_kwargs: dict[str, Any] | None = None,
        overwrite_kwargs: dict[str, Any] | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Write to an Iceberg table. All rows appear at once, in one snapshot.

        Args:
            table_identifier: The table, as `namespace.table`; it must exist.
            catalog_kwargs: Arguments of `pyiceberg.catalog.load_catalog`.
            snapshot_properties: Properties of the snapshot.
            mode: APPEND, OVERWRITE or UPSERT.
            overwrite_filter: The rows to replace; None for all. Only for OVERWRITE.
            upsert_kwargs: Arguments of the table's `upsert`, such as `join_cols`. Only for UPSERT.
            overwrite_kwargs: Arguments of the deletion of the rows to replace. Only for OVERWRITE.

        Raises:
            ImportError: pyiceberg is missing.
            ValueError: an argument does not go with the mode, or the rows do not fit the table.
        """
        given = locals()
        if catalog is not None:
            found = catalog.resolve(
                table_identifier, reader=ReaderFormat.ICEBERG, mode=CatalogAccessMode.WRITE
            )
            table_identifier = found.table_identifier or table_identifier
            catalog_kwargs = {**(found.catalog_kwargs or {}), **(catalog_kwargs or {})}
        sink = IcebergDatasink(
            table_identifier,
            catalog_kwargs,
            snapshot_properties,
            mode,
            overwrite_filter,
            upsert_kwargs,
            overwrite_kwargs,
        )
        self._write_to(sink, given)

    @writer
    def write_lance(
        self,
        path: str,
        *,
        schema: pa.Schema | None = None,
        mode: SaveMode = SaveMode.CREATE,
        min_rows_per_file: int = 1024 * 1024,
        max_rows_per_file: int = 64 * 1024 * 1024,
        data_storage_version: str | None = None,
        storage_options: dict[str, Any] | None = None,
        table_id: list[str] | None = None,
        namespace_impl: str | None = None,
        namespace_properties: dict[str, str] | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Write a Lance dataset. All rows appear at once, in one version.

        Args:
            path: The dataset's folder or address.
            schema: The columns; default: those of this dataset, or of the one that is appended to.
            mode: CREATE, APPEND or OVERWRITE.
            min_rows_per_file: The least number of rows that a task writes at once.
            max_rows_per_file: The greatest number of rows of a file.
            data_storage_version: The version of the file format.
            table_id: The table's name in a namespace, part by part.
            namespace_impl: The kind of namespace.
            namespace_properties: Properties of the namespace.

        Raises:
            ImportError: pylance is missing.
            ValueError: the mode does not go with what is there, or only a part of a namespace is given.
        """
        given = locals()
        if namespace_impl is not None or table_id is not None:
            path = lance_location(path, mode, table_id, namespace_impl, namespace_properties)
        sink = LanceDatasink(
            path, schema, mode, min_rows_per_file, max_rows_per_file, data_storage_version, storage_options
        )
        self._write_to(sink, given)

    @writer
    def write_turbopuffer(
        self,
        *,
        namespace: str | None = None,
        namespace_column: str | None = None,
        region: str | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        schema: dict[str, Any] | None = None,
        id_column: str = "id",
        vector_column: str = "vector",
        batch_size: int = 10000,
        distance_metric: str = "cosine_distance",
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Write the rows as documents to Turbopuffer, a store of vectors. Rows without an identifier are left out.

        Args:
            namespace: The namespace.
            namespace_column: The column that names each row's namespace, instead; it is not written.
            region: The region of the service.
            base_url: The address of the service, instead of a region.
            api_key: The key; None takes the environment variable TURBOPUFFER_API_KEY.
            schema: The types of the columns, as the service takes them.
            id_column: The column of identifiers; the service calls it `id`.
            vector_column: The column of vectors; the service calls it `vector`.
            batch_size: Rows of a request, at most.
            distance_metric: How far apart two vectors are.

        Raises:
            ImportError: turbopuffer is missing.
            ValueError: arguments exclude each other, or one is missing; or a column is.
        """
        given = locals()
        sink = TurbopufferDatasink(
            namespace,
            namespace_column=namespace_column,
            region=region,
            base_url=base_url,
            api_key=api_key,
            schema=schema,
            id_column=id_column,
            vector_column=vector_column,
            batch_size=batch_size,
            distance_metric=distance_metric,
        )
        self._write_to(sink, given)


__all__ = ["StoreWritingMethods"]
