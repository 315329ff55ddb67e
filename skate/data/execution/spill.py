"""Rows dealt out to buckets, in memory while they are few, in files when they are many.

The files have no names: they are gone with this process, however it ends.
"""

from __future__ import annotations

import tempfile
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

_PIECE_ROWS = 131_072


class Spool:
    """Frames kept one after the other, to be read again any number of times."""

    def __init__(self) -> None:
        self._frames: list[pl.DataFrame] = []
        self._file: IO[bytes] | None = None
        self._written: list[int] = []  # where each frame begins in the file
        self.held = 0
        self.size = 0
        self.rows = 0

    def add(self, frame: pl.DataFrame) -> int:
        """Keep a frame in memory; returns its bytes."""
        size = int(frame.estimated_size())
        self._frames.append(frame)
        self.held += size
        self.size += size
        self.rows += frame.height
        return size

    def spill(self) -> None:
        """Move what is in memory to the file.

        Raises:
            OSError: the disk is full, or the folder for temporary files can't be written to.
        """
        if not self._frames:
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="skate-spill-")  # noqa: SIM115 - closed by `close`
        whole = pl.concat(self._frames) if len(self._frames) > 1 else self._frames[0]
        self._frames.clear()
        self.held = 0
        self._file.seek(0, 2)
        for start in range(0, whole.height, _PIECE_ROWS):
            self._written.append(self._file.tell())
            whole.slice(start, _PIECE_ROWS).write_ipc_stream(self._file, compat_level=pl.CompatLevel.newest())

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """The frames, in the order they were added."""
        for place in self._written:
            if self._file is None:
                raise ValueError("this spool is closed.")
            self._file.seek(place)
            yield pl.read_ipc_stream(self._file, use_pyarrow=False)
        yield from self._frames

    def close(self) -> None:
        """Let go of the rows and of the file."""
        self._frames.clear()
        self._written.clear()
        if self._file is not None:
            self._file.close()
            self._file = None


class Buckets:
    """A number of spools under one budget.

    Args:
        count: How many.
        budget: The bytes that they may hold in memory together.

    Attributes:
        spilled: Whether anything has gone to the disk.
    """

    def __init__(self, count: int, budget: int) -> None:
        self._spools = [Spool() for _ in range(count)]
        self._budget = budget
        self._held = 0
        self.spilled = False

    def __len__(self) -> int:
        return len(self._spools)

    def __getitem__(self, index: int) -> Spool:
        return self._spools[index]

    def add(self, index: int, frame: pl.DataFrame) -> None:
        """Put a frame into a bucket; all are moved to the disk when they hold too much.

        All, because frames that were cut from one share its memory.
        """
        self._held += self._spools[index].add(frame)
        if self._held > self._budget:
            self.spilled = True
            for spool in self._spools:
                spool.spill()
            self._held = 0

    def deal(self, frame: pl.DataFrame, numbers: npt.NDArray[np.integer[Any]]) -> None:
        """Put each row into the bucket whose number stands beside it. Rows of a bucket keep their order."""
        order = np.argsort(numbers, kind="stable")
        ordered = frame[order]
        edges = np.searchsorted(numbers[order], np.arange(len(self) + 1))
        for index in range(len(self)):
            start, end = int(edges[index]), int(edges[index + 1])
            if end > start:
                self.add(index, ordered.slice(start, end - start))

    def close(self) -> None:
        """Let go of all rows and files."""
        for spool in self._spools:
            spool.close()


__all__ = ["Buckets", "Spool"]
