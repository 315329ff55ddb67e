"""Images."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from skate.data import convert
from skate.data.datasource.file_based_datasource import FileBasedDatasource
from skate.data.datasource.file_datasink import RowBasedFileDatasink
from skate.data.interop import require_module

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa


class ImageDatasource(FileBasedDatasource):
    """Images, decoded.

    Args:
        paths: As for all files.
        size: Height and width to resize to.
        mode: The mode to convert to, as Pillow names it.
        options: As for all files.

    Raises:
        ImportError: Pillow is missing.
    """

    factor = 10.0

    def __init__(
        self, paths: Any, size: tuple[int, int] | None = None, mode: str | None = None, **options: Any
    ) -> None:
        require_module("PIL.Image", "pillow")
        if size is not None and (len(size) != 2 or min(size) <= 0):
            raise ValueError(
                f"Expected `size` to contain two positive integers for height and width, got {size}."
            )
        super().__init__(paths, **options)
        self._size, self._mode = size, mode

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        from PIL import Image, UnidentifiedImageError

        try:
            image: Any = Image.open(io.BytesIO(f.read()))
            if self._size is not None:
                image = image.resize((self._size[1], self._size[0]), resample=Image.Resampling.BILINEAR)
            if self._mode is not None:
                image = image.convert(self._mode)
            array = np.asarray(image)
        except UnidentifiedImageError as error:
            raise ValueError(f"PIL couldn't load image file at path '{path}'.") from error
        yield convert.table_from_columns({"image": array[np.newaxis, ...]})

    def _rows_of(self, files: int) -> int | None:
        return files


class ImageDatasink(RowBasedFileDatasink):
    """Writes a column of images to files, one for each row."""

    def __init__(self, path: str, column: str, file_format: str, **options: Any) -> None:
        super().__init__(path, file_format=file_format, **options)
        self._column = column

    def write_row_to_file(self, row: dict[str, Any], file: Any) -> None:
        """Write the image of a row."""
        image = require_module("PIL.Image", "pillow").fromarray(row[self._column])
        buffer = io.BytesIO()
        image.save(buffer, format=self.file_format)
        file.write(buffer.getvalue())


__all__ = ["ImageDatasink", "ImageDatasource"]
