"""Shared memory: one sparse file without a name that every process of a session maps whole.

Objects lie in it at offsets that the node hands out; objects that the store had no room for lie in files. Either way a reader gets a
read-only view of the bytes themselves. The file vanishes with the last process that has it open, however that process ends.

An object is a header (count of parts, their lengths) and its parts: the pickle, then its out-of-band buffers, each on a cache line.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

LINE = 64
_PARALLEL = 8 << 20
"""Bytes from which a copy is worth a second thread."""
_STEP = 64 << 20
"""Bytes of one write: Ctrl-C is noticed between two."""
_CHUNK_BITS = 20
_CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_COUNT = struct.Struct("<Q")


def create_file(size: int) -> int:
    """A new shared-memory file of `size` bytes, none of them in use yet; its descriptor."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("skate", os.MFD_CLOEXEC)
    else:  # macOS
        import tempfile

        fd, path = tempfile.mkstemp(prefix="skate-")
        os.unlink(path)
    os.ftruncate(fd, size)
    return fd


def layout(lengths: Sequence[int]) -> tuple[list[int], int]:
    """Where each part starts, and the object's size."""
    at = 8 + 8 * len(lengths)
    starts = []
    for length in lengths:
        at = -(-at // LINE) * LINE
        starts.append(at)
        at += length
    return starts, at


def _header(parts: Sequence[Any]) -> bytes:
    lengths = [memoryview(part).nbytes for part in parts]
    return struct.pack(f"<{1 + len(parts)}Q", len(parts), *lengths)


def copy_parts(target: memoryview, parts: Sequence[Any], starts: Sequence[int]) -> None:
    """Fill mapped memory, which is as long as `layout` said."""
    header = _header(parts)
    target[: len(header)] = header
    for part, start in zip(parts, starts, strict=True):
        source = memoryview(part).cast("B")
        copy(target[start : start + source.nbytes], source)


def write_parts(fd: int, base: int, parts: Sequence[Any], starts: Sequence[int]) -> None:
    """Write an object to a file, from `base` on.

    Raises:
        OSError: there is no room.
    """
    for start, part in ((0, _header(parts)), *zip(starts, parts, strict=True)):
        view = memoryview(part).cast("B")
        written = 0
        while written < view.nbytes:
            written += os.pwrite(fd, view[written : written + _STEP], base + start + written)


def copy(target: memoryview, source: memoryview) -> None:
    """Copy bytes; the two are equally long. A long copy is shared between threads, as one core does not fill the memory bus."""
    numpy = sys.modules.get("numpy")
    if target.nbytes < _PARALLEL or numpy is None or _CPUS < 2:
        # Only NumPy copies without holding the interpreter's lock; long buffers are its arrays nearly always.
        target[:] = source
        return
    to, come = numpy.frombuffer(target, numpy.uint8), numpy.frombuffer(source, numpy.uint8)
    half = to.size // 2 // LINE * LINE
    helper = threading.Thread(target=numpy.copyto, args=(to[half:], come[half:]), name="skate-copy")
    helper.start()
    numpy.copyto(to[:half], come[:half])
    helper.join()


def read_parts(view: memoryview) -> list[memoryview]:
    """The parts of an object, as views of `view`."""
    (count,) = _COUNT.unpack_from(view)
    lengths = struct.unpack_from(f"<{count}Q", view, 8)
    starts, _size = layout(lengths)
    return [view[start : start + length] for start, length in zip(starts, lengths, strict=True)]


class _Released:
    """Calls back when the last view of a range is gone."""

    __slots__ = ("callback", "key")

    def __init__(self, callback: Callable[[int], None], key: int) -> None:
        self.callback = callback
        self.key = key

    def __del__(self) -> None:
        self.callback(self.key)


class Arena:
    """This process's mapping of the shared-memory file."""

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self.size = size
        self._map: mmap.mmap | None = None
        self._written = bytearray((size >> _CHUNK_BITS) + 1)
        """By chunk of the file: whether this process has written there."""

    def mapping(self) -> mmap.mmap:
        """The whole file; mapped on first use."""
        if self._map is None:
            self._map = mmap.mmap(self.fd, self.size)
        return self._map

    def write(self, offset: int, size: int, parts: Sequence[Any], starts: Sequence[int]) -> None:
        """Fill a range.

        A copy into memory that this process has touched is the fastest way, but touching it for the first time costs more than
        the kernel takes to write it: so the first object in a place is written, and later ones are copied.
        """
        first, end = offset >> _CHUNK_BITS, ((offset + size - 1) >> _CHUNK_BITS) + 1
        if self._written.find(0, first, end) < 0:
            with memoryview(self.mapping())[offset : offset + size] as target:
                copy_parts(target, parts, starts)
            return
        write_parts(self.fd, offset, parts, starts)
        self._written[first:end] = b"\1" * (end - first)

    def read(self, offset: int, size: int, key: int, released: Callable[[int], None]) -> memoryview:
        """A read-only view; `released(key)` is called, from any thread, once nothing refers to its bytes any more."""
        return _watched(self.mapping(), offset, size, key, released)

    def close(self) -> None:
        """Unmap, unless views are still in use: they keep the memory until they are gone."""
        mapped, self._map = self._map, None
        if mapped is not None:
            try:
                mapped.close()
            except BufferError:
                pass  # views of user's arrays are alive: the mapping goes with the last of them
        os.close(self.fd)


def read_file(path: str, size: int, key: int, released: Callable[[int], None]) -> memoryview:
    """A read-only view of an object that lies in a file."""
    fd = os.open(path, os.O_RDWR)
    try:
        mapped = mmap.mmap(fd, size)
    finally:
        os.close(fd)
    return _watched(mapped, 0, size, key, released)


def _watched(
    mapped: mmap.mmap, offset: int, size: int, key: int, released: Callable[[int], None]
) -> memoryview:
    # A ctypes array is the one pure-Python object that both exports a buffer and can carry an attribute: NumPy arrays over the
    # view keep it alive as the buffer's owner, whereas a memoryview slice would be by-passed for the mapping itself.
    import ctypes

    owner = (ctypes.c_char * size).from_buffer(mapped, offset)
    owner.released = _Released(released, key)  # type: ignore[attr-defined]
    return memoryview(owner).cast("B").toreadonly()
