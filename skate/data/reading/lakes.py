"""Datasets read from table formats: Delta Lake, Iceberg, Lance, Hudi, and from catalogs of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.data.catalog import DatabricksUnityCatalog, ReaderFormat
from skate.data.datasource.delta import DeltaDatasource
from skate.data.datasource.delta_sharing import DeltaSharingDatasource
from skate.data.datasource.hudi import HudiDatasource
from skate.data.datasource.iceberg import IcebergDatasource
from skate.data.datasource.lance import LanceDatasource
from skate.data.reading.arguments import read_from, reader
from skate.data.reading.parquet import read_parquet

if TYPE_CHECKING:
    from skate.data.catalog import Catalog
    from skate.data.dataset import Dataset
    from skate.data.datasource.databricks import DatabricksCredentialProvider


@reader
def read_delta(
    path: str | list[str],
    version: int | None = None,
    *,
    storage_options: dict[str, Any] | None = None,
    filesystem: Any = None,
    catalog: Catalog | None = None,
    columns: list[str] | None = None,
    parallelism: int = -1,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    shuffle: Any = None,
    include_paths: bool = False,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **arrow_parquet_args: Any,
) -> Dataset:
    """Read a Delta Lake table.

    Args:
        path: The table's folder or address, or its name in the catalog.
        version: The version; None for the latest.
        catalog: Resolves `path` as the name of a table.
        columns: The columns to read; None for all.
        arrow_parquet_args: Further arguments of the scan of a file, such as `filter` and `batch_size`.

    Raises:
        ImportError: deltalake is missing.
    """
    given = locals()
    if isinstance(path, list):
        raise ValueError(
            "Only a single Delta Lake table path is supported: read each, and join them with union."
        )
    if catalog is not None:
        found = catalog.resolve(path, reader=ReaderFormat.DELTA)
        path, filesystem = found.path or path, found.filesystem or filesystem
        storage_options = {**(found.storage_options or {}), **(storage_options or {})}
    source = DeltaDatasource(
        path, version, storage_options, filesystem, columns, shuffle, include_paths, **arrow_parquet_args
    )
    return read_from(source, given)


@reader
def read_iceberg(
    *,
    table_identifier: str,
    row_filter: Any = None,
    parallelism: int = -1,
    selected_fields: tuple[str, ...] = ("*",),
    snapshot_id: int | None = None,
    scan_kwargs: dict[str, Any] | None = None,
    catalog_kwargs: dict[str, Any] | None = None,
    catalog: Catalog | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    override_num_blocks: int | None = None,
    label_selector: dict[str, str] | None = None,
    fallback_strategy: list[dict[str, Any]] | None = None,
    max_calls: int | None = None,
    resources: dict[str, float] | None = None,
    accelerator_type: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> Dataset:
    """Read an Iceberg table.

    Args:
        table_identifier: The table, as `namespace.table`.
        row_filter: Rows to read: text, an expression of `pyiceberg`, or one of `skate.data.expressions`.
        selected_fields: The columns to read.
        snapshot_id: The snapshot; None for the latest.
        scan_kwargs: Further arguments of the table's `scan`.
        catalog_kwargs: Arguments of `pyiceberg.catalog.load_catalog`.
        catalog: Knows those arguments, by the table's name.

    Raises:
        ImportError: pyiceberg is missing.
    """
    given = locals()
    if catalog is not None:
        found = catalog.resolve(table_identifier, reader=ReaderFormat.ICEBERG)
        table_identifier = found.table_identifier or table_identifier
        catalog_kwargs = {**(found.catalog_kwargs or {}), **(catalog_kwargs or {})}
    source = IcebergDatasource(
        table_identifier, row_filter, selected_fields, snapshot_id, scan_kwargs, catalog_kwargs
    )
    return read_from(source, given)


@reader
def read_lance(
    uri: str | list[str],
    *,
    version: int | str | None = None,
    columns: list[str] | None = None,
    filter: str | None = None,
    storage_options: dict[str, Any] | None = None,
    scanner_options: dict[str, Any] | None = None,
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
    """Read Lance datasets.

    Args:
        uri: A dataset or several.
        version: A version's number or tag; None for the latest.
        columns: The columns to read; None for all.
        filter: Rows to read, as SQL.
        scanner_options: Further arguments of Lance's scanner.

    Raises:
        ImportError: pylance is missing.
    """
    given = locals()
    source = LanceDatasource(uri, version, columns, filter, storage_options, scanner_options)
    return read_from(source, given)


@reader
def read_hudi(
    table_uri: str,
    *,
    query_type: str = "snapshot",
    filters: list[tuple[str, str, str]] | None = None,
    hudi_options: dict[str, str] | None = None,
    storage_options: dict[str, Any] | None = None,
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
    """Read a Hudi table.

    Args:
        table_uri: The table's folder or address.
        query_type: `"snapshot"`, the newest state; or `"incremental"`, what changed between two times in `hudi_options`.
        filters: Conditions on partition columns, as (column, operator, value).
        hudi_options: Options of Hudi.

    Raises:
        ImportError: hudi is missing.
    """
    given = locals()
    source = HudiDatasource(table_uri, query_type, filters, hudi_options, storage_options)
    return read_from(source, given)


@reader
def read_delta_sharing_tables(
    url: str,
    *,
    limit: int | None = None,
    version: int | None = None,
    timestamp: str | None = None,
    json_predicate_hints: str | None = None,
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
    """Read a table that is shared by the Delta Sharing protocol.

    Args:
        url: The profile file and the table, as `profile#share.schema.table`.
        limit: About how many rows to read; None for all.
        version: The table's version.
        timestamp: The version that was the latest at this time.
        json_predicate_hints: Conditions that the server may use to leave out files.

    Raises:
        ImportError: delta-sharing is missing.
    """
    given = locals()
    source = DeltaSharingDatasource(url, json_predicate_hints, limit, version, timestamp)
    return read_from(source, given)


def read_unity_catalog(
    table: str,
    url: str | None = None,
    token: str | None = None,
    *,
    credential_provider: DatabricksCredentialProvider | None = None,
    data_format: str | None = None,
    region: str | None = None,
    reader_kwargs: dict[str, Any] | None = None,
) -> Dataset:
    """Read a table of a Databricks Unity Catalog with credentials that it lends.

    Args:
        table: The table, as `catalog.schema.table`.
        url: The workspace's address.
        token: A token for it.
        credential_provider: Who asks, instead of `url` and `token`.
        data_format: `"delta"`, `"parquet"` or `"iceberg"`; default: as the catalog says.
        region: The region of its storage, on AWS.
        reader_kwargs: Further arguments of the reader of that format.

    Raises:
        ValueError: there are no credentials, or the format is unknown.
    """
    catalog = DatabricksUnityCatalog(
        url=url, token=token, credential_provider=credential_provider, region=region
    )
    kind = ReaderFormat(data_format.lower()) if data_format else catalog.infer_format(table)
    options = reader_kwargs or {}
    if kind is ReaderFormat.DELTA:
        return read_delta(table, catalog=catalog, **options)
    if kind is ReaderFormat.PARQUET:
        return read_parquet(table, catalog=catalog, **options)
    if kind is ReaderFormat.ICEBERG:
        return read_iceberg(table_identifier=table, catalog=catalog, **options)
    raise ValueError(
        f"Could not infer the data format for table {table!r}. Pass `data_format` explicitly (one of: "
        f"{', '.join(each.value for each in ReaderFormat)})."
    )


__all__ = [
    "read_delta",
    "read_delta_sharing_tables",
    "read_hudi",
    "read_iceberg",
    "read_lance",
    "read_unity_catalog",
]
