"""Names of the files that a dataset is written to."""

from __future__ import annotations

import os
from typing import Any


class FilenameProvider:
    """Names files by the write and the task. A subclass overrides `get_filename_for_task`.

    Files of single rows, such as images, get the task's name with the numbers of block and row in it. Subclasses that
    override `get_filename_for_block` or `get_filename_for_row`, as programs of earlier versions do, are asked instead.

    Args:
        dataset_uuid: Written at the front of each name.
        file_format: The ending of each name, without its dot.

    Example:
        >>> from skate.data.datasource import FilenameProvider
        >>> FilenameProvider("d", "csv").get_filename_for_task("w", 3)
        'd_w_000003.csv'
    """

    def __init__(self, dataset_uuid: str | None = None, file_format: str | None = None) -> None:
        self.dataset_uuid = dataset_uuid
        self.file_format = file_format

    def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
        """The name of the file that a task writes. Names must differ for different writes and tasks.

        Args:
            write_uuid: The same for all files of one write.
            task_index: Which of the writing tasks it is.
        """
        front = f"{self.dataset_uuid}_" if self.dataset_uuid is not None else ""
        tail = f".{self.file_format}" if self.file_format is not None else ""
        return f"{front}{write_uuid}_{task_index:06}{tail}"

    def get_filename_for_block(self, block: Any, write_uuid: str, task_index: int, block_index: int) -> str:
        """The name of the file that a block is written to: the task's, and a number if the task has several.

        Args:
            block: The block.
            write_uuid: The same for all files of one write.
            task_index: Which of the writing tasks it is.
            block_index: Which of the task's blocks it is.
        """
        name = self.get_filename_for_task(write_uuid, task_index)
        return name if block_index == 0 else numbered(name, f"_{block_index:06}")

    def get_filename_for_row(
        self, row: dict[str, Any], write_uuid: str, task_index: int, block_index: int, row_index: int
    ) -> str:
        """The name of the file that a row is written to, for formats with a file for each row."""
        name = self.get_filename_for_task(write_uuid, task_index)
        return numbered(name, f"_{block_index:06}_{row_index:06}")

    def _names_blocks(self) -> bool:
        """Whether a subclass names blocks, and not only tasks."""
        return type(self).get_filename_for_block is not FilenameProvider.get_filename_for_block


class DefaultFilenameProvider(FilenameProvider):
    """The names that writing gives when nothing else is asked for."""


def numbered(name: str, number: str) -> str:
    """A file's name with a number before its ending."""
    stem, ending = os.path.splitext(name)
    return f"{stem}{number}{ending}"


__all__ = ["DefaultFilenameProvider", "FilenameProvider", "numbered"]
