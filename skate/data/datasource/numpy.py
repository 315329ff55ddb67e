"""NumPy files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from skate.data import convert
from skate.data.datasource.file_based_datasource import FileBasedDatasource
from skate.data.datasource.file_datasink import BlockBasedFileDatasink

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from skate.data.block import BlockAccessor


class NumpyDatasource(FileBasedDatasource):
    """NumPy files: `.npy`.

    Args:
        paths: As for all files.
        numpy_load_args: Arguments of `numpy.load`.
        options: As for all files.
    """

    def __init__(self, paths: Any, numpy_load_args: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(paths, **options)
        self._load = {"allow_pickle": False, **(numpy_load_args or {})}

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        array = np.load(io.BytesIO(f.read()), **self._load)
        yield convert.table_from_columns({"data": np.atleast_1d(array)})


class NumpyDatasink(BlockBasedFileDatasink):
    """Writes a column to NumPy files."""

    def __init__(self, path: str, column: str, **options: Any) -> None:
        super().__init__(path, file_format="npy", **options)
        self._column = column

    def write_block_to_file(self, block: BlockAccessor, file: Any) -> None:
        """Write the column of a block.

        Raises:
            ValueError: there is no such column.
        """
        buffer = io.BytesIO()
        np.save(buffer, block.to_numpy(self._column))
        file.write(buffer.getvalue())


__all__ = ["NumpyDatasink", "NumpyDatasource"]
