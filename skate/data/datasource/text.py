"""Text files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from skate.data.datasource.file_based_datasource import FileBasedDatasource

if TYPE_CHECKING:
    from collections.abc import Iterator


_BLOCK_ROWS = 262_144


class TextDatasource(FileBasedDatasource):
    """Text files, a row for each line.

    Args:
        paths: As for all files.
        drop_empty_lines: Whether to leave out empty lines.
        encoding: How characters are written.
        options: As for all files.
    """

    def __init__(
        self, paths: Any, *, drop_empty_lines: bool = True, encoding: str = "utf-8", **options: Any
    ) -> None:
        super().__init__(paths, **options)
        self._drop, self._encoding = drop_empty_lines, encoding

    def _read_stream(self, f: Any, path: str) -> Iterator[pa.Table]:
        try:
            text = bytes(f.read()).decode(self._encoding)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path} is not text in {self._encoding}: {error}: give its encoding, as encoding='latin-1'."
            ) from error
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        if lines and lines[-1] == "":
            lines.pop()
        if self._drop:
            lines = [line for line in lines if line.strip()]
        for start in range(0, len(lines), _BLOCK_ROWS):
            yield pa.table({"text": pa.array(lines[start : start + _BLOCK_ROWS], pa.string())})


__all__ = ["TextDatasource"]
