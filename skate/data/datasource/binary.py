"""Any files, as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from skate.data.datasource.file_based_datasource import FileBasedDatasource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class BinaryDatasource(FileBasedDatasource):
    """Any files, a row for each, with its bytes."""

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        yield pa.table({"bytes": pa.array([bytes(f.read())], pa.binary())})

    def _rows_of(self, files: int) -> int | None:
        return files


__all__ = ["BinaryDatasource"]
