"""Catalogs: what a table's name stands for."""

from __future__ import annotations

import abc
import enum
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any

from skate.data.datasource import databricks

if TYPE_CHECKING:
    from skate.data.datasource.databricks import DatabricksCredentialProvider


class CatalogAccessMode(str, enum.Enum):  # noqa: UP042 - prints as Ray's does
    """What a table is looked up for."""

    READ = "read"
    WRITE = "write"

    def as_databricks_table_op(self) -> str:
        """What Databricks calls it."""
        return "READ" if self is CatalogAccessMode.READ else "READ_WRITE"


class ReaderFormat(str, enum.Enum):  # noqa: UP042 - prints as Ray's does
    """How a table is stored."""

    DELTA = "delta"
    ICEBERG = "iceberg"
    PARQUET = "parquet"


@dataclass
class ResolvedSource:
    """Where a table is.

    Attributes:
        path: Its folder or address.
        filesystem: The file system to read it with.
        storage_options: Options for readers that take them.
        catalog_kwargs: Arguments of the catalog that Iceberg loads it from.
        table_identifier: Its name there.
        data_format: How it is stored.
    """

    path: str | None = None
    filesystem: Any = None
    storage_options: dict[str, Any] | None = None
    catalog_kwargs: dict[str, Any] | None = None
    table_identifier: str | None = None
    data_format: ReaderFormat | None = None


class Catalog(abc.ABC):
    """Base of catalogs."""

    @abc.abstractmethod
    def resolve(
        self, table: str, *, reader: ReaderFormat, mode: CatalogAccessMode = CatalogAccessMode.READ
    ) -> ResolvedSource:
        """Where a table is.

        Args:
            table: Its name.
            reader: What will read it.
            mode: What it is looked up for.
        """


@dataclass(frozen=True)
class DatabricksUnityCatalog(Catalog):
    """The Unity Catalog of a Databricks workspace: it knows where tables lie, and lends credentials for them.

    Attributes:
        url: The workspace's address.
        token: A token for it.
        credential_provider: Who asks, instead of `url` and `token`.
        region: The region of the storage, on AWS.

    Raises:
        ValueError: there are no credentials.
    """

    _: KW_ONLY
    url: str | None = None
    token: str | None = field(default=None, repr=False)
    credential_provider: DatabricksCredentialProvider | None = field(default=None, repr=False)
    region: str | None = None

    def __post_init__(self) -> None:
        databricks.provider_of(self.credential_provider, self.url, self.token)

    @property
    def _provider(self) -> DatabricksCredentialProvider:
        return databricks.provider_of(self.credential_provider, self.url, self.token)

    def resolve(
        self, table: str, *, reader: ReaderFormat, mode: CatalogAccessMode = CatalogAccessMode.READ
    ) -> ResolvedSource:
        """Where a table is, with credentials that hold for a while.

        Args:
            table: Its name, as `catalog.schema.table`.
            reader: What will read it.
            mode: What it is looked up for.

        Raises:
            OSError: the workspace refuses.
        """
        provider = self._provider
        if reader is ReaderFormat.ICEBERG:
            catalog, _, rest = table.partition(".")
            return ResolvedSource(
                catalog_kwargs={
                    "name": catalog,
                    "type": "rest",
                    "uri": f"{databricks.address_of(provider.get_host())}/api/2.1/unity-catalog/iceberg-rest",
                    "warehouse": catalog,
                    "token": provider.get_token(),
                },
                table_identifier=rest,
                data_format=ReaderFormat.ICEBERG,
            )
        info = self._info(table)
        lent = databricks.call(
            provider,
            "api/2.1/unity-catalog/temporary-table-credentials",
            {"table_id": info["table_id"], "operation": mode.as_databricks_table_op()},
        )
        options = self._storage_options(lent)
        return ResolvedSource(
            path=lent.get("url") or info["storage_location"],
            filesystem=self._filesystem(lent),
            storage_options=options,
            data_format=_format_of(info),
        )

    def _info(self, table: str) -> Any:
        return databricks.call(self._provider, f"api/2.1/unity-catalog/tables/{table}")

    def infer_format(self, table: str) -> ReaderFormat | None:
        """How a table is stored; None if the catalog does not say, or says another format."""
        return _format_of(self._info(table))

    def _storage_options(self, lent: Any) -> dict[str, str]:
        """The credentials as the readers' packages take them."""
        options: dict[str, str] = {}
        if aws := lent.get("aws_temp_credentials"):
            options = {
                "AWS_ACCESS_KEY_ID": aws["access_key_id"],
                "AWS_SECRET_ACCESS_KEY": aws["secret_access_key"],
                "AWS_SESSION_TOKEN": aws["session_token"],
            }
            if self.region:
                options["AWS_REGION"] = self.region
        elif azure := lent.get("azure_user_delegation_sas"):
            options = {"AZURE_STORAGE_SAS_TOKEN": azure["sas_token"]}
        elif gcp := lent.get("gcp_oauth_token"):
            options = {"GOOGLE_BEARER_TOKEN": gcp["oauth_token"]}
        return options

    def _filesystem(self, lent: Any) -> Any:
        from pyarrow import fs

        if aws := lent.get("aws_temp_credentials"):
            return fs.S3FileSystem(
                access_key=aws["access_key_id"],
                secret_key=aws["secret_access_key"],
                session_token=aws["session_token"],
                region=self.region,
            )
        return None


def _format_of(info: Any) -> ReaderFormat | None:
    try:
        return ReaderFormat(str(info.get("data_source_format", "")).lower())
    except ValueError:
        return None


__all__ = ["DatabricksUnityCatalog", "Catalog", "CatalogAccessMode", "ReaderFormat", "ResolvedSource"]
