"""Avro files."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from skate.data import convert
from skate.data.datasource.file_based_datasource import FileBasedDatasource
from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

_BLOCK_ROWS = 16_384


class AvroDatasource(FileBasedDatasource):
    """Avro files.

    Args:
        paths: As for all files.
        options: As for all files.

    Raises:
        ImportError: fastavro is missing.
    """

    factor = 3.0

    def __init__(self, paths: Any, **options: Any) -> None:
        require_module("fastavro")
        super().__init__(paths, **options)

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        try:
            records = require_module("fastavro").reader(f)
            while rows := list(itertools.islice(records, _BLOCK_ROWS)):
                yield convert.table_from_rows(rows)
        except ValueError as error:
            raise ValueError(f"{path} is no Avro file: {error}") from error


__all__ = ["AvroDatasource"]
