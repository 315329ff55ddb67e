"""Text and bytes with offsets of 64 bits, as the native engine gives them, under offsets of 32 bits, as blocks have them.

Arrow's own cast copies the text; here only the offsets are made anew.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

_MOST = 2**31 - 1


def narrowed(table: pa.Table) -> pa.Table:
    """The table with 32-bit offsets in its columns of text and bytes, but for chunks that are too long for them."""
    for index, field in enumerate(table.schema):
        if pa.types.is_large_string(field.type):
            target = pa.string()
        elif pa.types.is_large_binary(field.type):
            target = pa.binary()
        else:
            continue
        chunks = [_narrow(chunk, target) for chunk in table.column(index).chunks]
        if all(chunk is not None for chunk in chunks):
            table = table.set_column(index, field.name, pa.chunked_array(chunks, target))
    return table


def _narrow(chunk: pa.Array, target: pa.DataType) -> pa.Array | None:
    """The chunk with 32-bit offsets; None if they do not reach to its end."""
    rows, start = len(chunk), chunk.offset
    validity, offsets, data = chunk.buffers()
    if rows == 0 or offsets is None:
        return pa.array([], target)
    wide = np.frombuffer(offsets, np.int64, rows + 1, start * 8)
    if wide[-1] > _MOST:
        return None
    if start and chunk.null_count:
        return chunk.cast(target)  # its bits of validity do not begin at a byte
    narrow = pa.py_buffer(wide.astype(np.int32))
    return pa.Array.from_buffers(target, rows, [validity if chunk.null_count else None, narrow, data])


__all__ = ["narrowed"]
