"""Catalogs: what a table's name stands for."""

from __future__ import annotations

import abc
import enum
from dataclasses import dataclass
from typing import Any


class CatalogAccessMode(str, enum.Enum):  # noqa: UP042 - prints as Ray's does
    """What a table is looked up for."""

    READ = "read"
    WRITE = "write"


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


__all__ = ["Catalog", "CatalogAccessMode", "ReaderFormat", "ResolvedSource"]
