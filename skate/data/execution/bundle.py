"""A block on its way: in this process, or in the object store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

import skate
from skate.data.block import BlockMetadata

if TYPE_CHECKING:
    from collections.abc import Iterator


class Bundle:
    """A block and what is known of it, wherever the block is.

    Attributes:
        rows: How many rows it has.
        size_bytes: Its size in memory.
        schema: Its columns.
        files: The files that it was read from.
        took: Seconds, and seconds of CPU time, in which it was made, where that was measured.
        task: The number of the task that made it; 0 for none.
    """

    __slots__ = ("_ref", "_table", "files", "rows", "schema", "size_bytes", "task", "took")

    def __init__(
        self,
        table: pa.Table | None = None,
        ref: Any = None,
        *,
        rows: int = 0,
        size_bytes: int = 0,
        schema: pa.Schema | None = None,
        files: tuple[str, ...] = (),
    ) -> None:
        self._table, self._ref = table, ref
        self.took: tuple[float, float] | None = None
        self.task = 0
        self.files = files
        if table is not None:
            self.rows, self.size_bytes, self.schema = table.num_rows, table.nbytes, table.schema
        else:
            self.rows, self.size_bytes, self.schema = rows, size_bytes, schema

    @property
    def table(self) -> pa.Table:
        """The block, here."""
        if self._table is None:
            self._table = skate.get(self._ref)
        return self._table

    @property
    def ref(self) -> Any:
        """The block in the object store; it is put there when it was not."""
        if self._ref is None:
            self._ref = skate.put(compact(self.table))
        return self._ref

    def stored(self) -> Bundle:
        """The same block, held in the object store alone."""
        if self._table is None:
            return self
        return Bundle(
            None, self.ref, rows=self.rows, size_bytes=self.size_bytes, schema=self.schema, files=self.files
        )

    @property
    def is_remote(self) -> bool:
        """Whether it is in the object store and not here yet."""
        return self._table is None

    @property
    def metadata(self) -> BlockMetadata:
        """What is known of it."""
        return BlockMetadata(self.rows, self.size_bytes, None, input_files=list(self.files))

    # The names of Ray's bundle of blocks, which has any number of them.
    @property
    def blocks(self) -> tuple[tuple[Any, BlockMetadata], ...]:
        """The block's ref with its metadata."""
        return ((self.ref, self.metadata),)

    @property
    def block_refs(self) -> list[Any]:
        """The block's ref."""
        return [self.ref]

    @property
    def block_metadata(self) -> list[BlockMetadata]:
        """The block's metadata."""
        return [self.metadata]

    def num_rows(self) -> int:
        """How many rows it has."""
        return int(self.rows)

    def slice(self, start: int, rows: int) -> Bundle:
        """Some of its rows."""
        if start == 0 and rows >= self.rows:
            return self
        return Bundle(self.table.slice(start, rows), files=self.files)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.ref, self.rows, self.size_bytes, self.schema, self.files)


def _restore(ref: Any, rows: int, size_bytes: int, schema: Any, files: tuple[str, ...]) -> Bundle:
    return Bundle(None, ref, rows=rows, size_bytes=size_bytes, schema=schema, files=files)


def compact(table: pa.Table) -> pa.Table:
    """The table without the memory around it: pickling a slice would send the whole that it was cut from."""
    held = table.get_total_buffer_size()
    if held <= 65536 or held <= table.nbytes * 1.25:
        return table
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()


def split_rows(table: pa.Table, target_bytes: int) -> Iterator[pa.Table]:
    """The table in pieces of about this size at most."""
    size = table.nbytes
    if size <= target_bytes * 1.5 or table.num_rows <= 1:
        yield table
        return
    rows = max(1, int(table.num_rows * target_bytes / size))
    for start in range(0, table.num_rows, rows):
        yield table.slice(start, rows)


__all__ = ["Bundle", "compact", "split_rows"]
