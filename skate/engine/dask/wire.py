"""Messages between a Dask worker and the processes that run user code for it: pickles with their buffers beside them.

A frame is the number of parts, the length of each, and the parts: the pickle, then its out-of-band buffers, which are not copied.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from typing import Any

_COUNT = struct.Struct("<I")


def encode(message: Any) -> list[Any]:
    """A message as parts to be written one after the other."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(data), *(buffer.raw() for buffer in buffers)]
    head = struct.pack(f"<I{len(parts)}Q", len(parts), *(part.nbytes for part in parts))
    return [head, *parts]


def _decode(parts: list[Any]) -> Any:
    return pickle.loads(parts[0], buffers=parts[1:])


def send(sock: socket.socket, message: Any) -> None:
    """Write a message to a blocking socket."""
    parts = encode(message)
    if sum(len(part) for part in parts) < 65536:
        sock.sendall(b"".join(parts))
        return
    for part in parts:
        sock.sendall(part)


def receive(sock: socket.socket) -> Any:
    """Read a message from a blocking socket.

    Raises:
        EOFError: the other end is gone.
    """
    (count,) = _COUNT.unpack(_exactly(sock, 4))
    lengths = struct.unpack(f"<{count}Q", _exactly(sock, 8 * count))
    return _decode([_exactly(sock, length) for length in lengths])


def _exactly(sock: socket.socket, length: int) -> bytearray:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        got = sock.recv_into(view)
        if not got:
            raise EOFError
        view = view[got:]
    return data


async def receive_async(reader: asyncio.StreamReader) -> Any:
    """Read a message from an asyncio stream.

    Raises:
        IncompleteReadError: the other end is gone.
    """
    (count,) = _COUNT.unpack(await reader.readexactly(4))
    lengths = struct.unpack(f"<{count}Q", await reader.readexactly(8 * count))
    return _decode([await reader.readexactly(length) for length in lengths])
