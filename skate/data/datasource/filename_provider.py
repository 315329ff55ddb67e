"""Names of the files that a dataset is written to."""

from __future__ import annotations

from typing import Any


class FilenameProvider:
    """Names files by the write, the task and the block.

    Args:
        dataset_uuid: Written at the front of each name.
        file_format: The ending of each name.
    """

    def __init__(self, dataset_uuid: str | None = None, file_format: str | None = None) -> None:
        self._dataset_uuid = dataset_uuid
        self._file_format = file_format

    def get_filename_for_block(self, block: Any, write_uuid: str, task_index: int, block_index: int) -> str:
        """The name of the file that a block is written to. Names must be different for different blocks.

        Args:
            block: The block.
            write_uuid: The same for all files of one write.
            task_index: Which of the writing tasks it is.
            block_index: Which of the task's blocks it is.
        """
        return self._name(f"{write_uuid}_{task_index:06}_{block_index:06}")

    def get_filename_for_row(
        self, row: dict[str, Any], write_uuid: str, task_index: int, block_index: int, row_index: int
    ) -> str:
        """The name of the file that a row is written to, for formats with a file for each row."""
        return self._name(f"{write_uuid}_{task_index:06}_{block_index:06}_{row_index:06}")

    def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
        """The name of the file that a task writes."""
        return self._name(f"{write_uuid}_{task_index:06}")

    def _name(self, stem: str) -> str:
        front = f"{self._dataset_uuid}_" if self._dataset_uuid is not None else ""
        tail = f".{self._file_format}" if self._file_format is not None else ""
        return f"{front}{stem}{tail}"


class DefaultFilenameProvider(FilenameProvider):
    """The names that writing gives when nothing else is asked for."""


__all__ = ["DefaultFilenameProvider", "FilenameProvider"]
