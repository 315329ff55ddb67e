"""Blocks kept in the order they came, in memory while they are few, in a file when they are many.

The file has no name: it is gone with this process, however it ends.
"""

from __future__ import annotations

import tempfile
import threading
from typing import IO, TYPE_CHECKING, Self

import pyarrow as pa

from skate.data import convert
from skate.data.execution import memory
from skate.data.execution.bundle import Bundle, split_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType


class Kept:
    """All blocks of a stream, to be read in any order and any number of times.

    `close`, the end of a `with` block or the end of the last reference lets go of them.

    Args:
        bundles: The stream, which is read to its end.

    Attributes:
        rows: The rows of all blocks together.
        size_bytes: Their bytes.

    Raises:
        OSError: the disk is full, or the folder for temporary files can't be written to.
    """

    def __init__(self, bundles: Iterable[Bundle]) -> None:
        self.rows = self.size_bytes = 0
        self._held: list[Bundle | tuple[int, ...]] = []  # a block, or where its pieces begin in the file
        self._written = 0  # so many of the first are in the file
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()  # the native engine reads in a thread of its own
        self._schemas: list[pa.Schema] = []  # of blocks that have rows, each once
        try:
            self._keep(bundles)
        except BaseException:
            self.close()
            raise

    def _keep(self, bundles: Iterable[Bundle]) -> None:
        size, most = 0, memory.budget()
        for bundle in bundles:
            self.rows += bundle.rows
            self.size_bytes += bundle.size_bytes
            self._held.append(bundle)
            size += bundle.size_bytes
            if size > most:
                self._spill()
                size, most = 0, memory.piece()  # no more is won by waiting, once the file is there
        if self.is_on_disk:
            self._spill()

    @property
    def is_on_disk(self) -> bool:
        """Whether there are too many for memory: all are in the file then."""
        return self._file is not None

    @property
    def schema(self) -> pa.Schema:
        """One schema that holds the rows of all blocks in the file."""
        return convert.unify_schemas(self._schemas)

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, index: int) -> Bundle:
        """A block."""
        held = self._held[index]
        if isinstance(held, Bundle):
            return held
        return Bundle(pa.concat_tables([self._read(place) for place in held]))

    def tables(self) -> Iterator[pa.Table]:
        """The rows in their order, a piece at a time. There may be none."""
        for held in self._held:
            if isinstance(held, Bundle):
                yield held.table
            else:
                yield from map(self._read, held)

    def close(self) -> None:
        """Let go of the blocks and of the file."""
        self._held.clear()
        if self._file is not None:
            self._file.close()
            self._file = None

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="skate-spill-")  # noqa: SIM115 - closed by `close`
        self._file.seek(0, 2)
        for index in range(self._written, len(self._held)):
            held = self._held[index]
            if isinstance(held, Bundle):
                table = held.table
                if table.num_rows and table.schema not in self._schemas:
                    self._schemas.append(table.schema)
                self._held[index] = tuple(self._write(part) for part in split_rows(table, memory.piece()))
        self._written = len(self._held)

    def _write(self, table: pa.Table) -> int:
        file = self._opened()
        place = file.tell()
        with pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
        return place

    def _read(self, place: int) -> pa.Table:
        with self._lock:
            file = self._opened()
            file.seek(place)
            with pa.ipc.open_stream(file) as reader:
                return reader.read_all()

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            raise ValueError("these blocks are closed.")
        return self._file


__all__ = ["Kept"]
