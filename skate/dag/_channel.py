"""A connection that carries values from one process to another: small ones in the message, large ones in shared memory.

A message is one packet of a Unix socket: a header, and the value's pickle with its buffers. Values above `INLINE` bytes are written
into a *segment* instead, a piece of memory that both sides have mapped; the reader sees arrays in it in place, and gives the segment
back once the last view of it is gone. The writer uses it again: memory that has been touched takes a copy much faster.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import pickle
import select
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from skate import _pack

INLINE = 16 << 10
"""Bytes of a value that travel in the message itself; a message must fit the socket's buffer."""

_RECEIVE = INLINE + 4096
_LOOKS = 30
_ALIGN = 64
_PLAIN = frozenset(
    (int, float, str, bytes, bool, type(None))
)  # what plain pickle does as well as ours, and faster

_HEADER = struct.Struct("<BH")  # kind, slot; 3 bytes
_unpack_header = _HEADER.unpack_from
_dumps, _loads = pickle.dumps, pickle.loads
_NOW = socket.MSG_DONTWAIT
_VALUE, _ERROR, _PARTS, _SEGMENT, _NEW_SEGMENT = range(5)
_RELEASE = struct.Struct("<I")


class ChannelClosedError(Exception):
    """The other side is gone."""


class Failure:
    """Stands for a value that could not be made: the error to raise instead."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Owner:
    """Calls back when the last view of a segment is gone."""

    __slots__ = ("number", "released")

    def __init__(self, released: deque[int], number: int) -> None:
        self.released = released
        self.number = number

    def __del__(self) -> None:
        self.released.append(self.number)


class Connection:
    """One end of a two-way connection. Each direction has one thread at a time, which the caller sees to.

    Args:
        sock: A connected `SOCK_SEQPACKET` socket.
        first_segment: Bytes of the first segment; later ones are as large as their values need.
    """

    def __init__(self, sock: socket.socket, first_segment: int = 1 << 20) -> None:
        self.sock = sock
        self._least = first_segment
        self._timeout: float | None = None
        self._mine: dict[int, mmap.mmap] = {}  # segments that this side writes
        self._free: list[int] = []
        self._theirs: dict[int, mmap.mmap] = {}  # segments that the other side writes
        self._released: deque[int] = deque()  # those of theirs that are no longer read here
        self._early: deque[bytes] = deque()  # messages met while looking for released segments

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self.sock.fileno()

    # -- sending ----------------------------------------

    def send(self, slot: int, value: Any, wait: Callable[[], None] | None = None) -> None:
        """Send a value, or a `Failure`, for a slot.

        Args:
            slot: What the value is, in the two sides' terms.
            value: Anything that can be pickled.
            wait: Called when the socket's buffer is full, before the next attempt; None blocks.

        Raises:
            ChannelClosedError: the other side is gone.
            Exception: what pickling raised; nothing was sent.
        """
        if type(value) in _PLAIN:
            message = _HEADER.pack(_VALUE, slot) + _dumps(value, 5)
            if len(message) <= INLINE:
                try:
                    self.sock.send(message, _NOW if wait is not None else 0)
                    return
                except OSError:
                    self._transmit([message], wait)  # tries again, or says what is wrong
                    return
        kind = _VALUE
        if isinstance(value, Failure):
            kind, value = _ERROR, value.error
        data, buffers = _pack(value)
        size = len(data) + sum(buffer.nbytes for buffer in buffers)
        if size > INLINE:
            self._send_in_segment(slot, kind, [memoryview(data), *buffers], wait)
        elif buffers:
            lengths = [len(data), *(buffer.nbytes for buffer in buffers)]
            self._transmit([_HEADER.pack(_PARTS, slot), _lengths(lengths), data, *buffers], wait)
        else:
            self._transmit([_HEADER.pack(kind, slot) + data], wait)

    def _transmit(self, parts: Sequence[Any], wait: Callable[[], None] | None) -> None:
        flags = 0 if wait is None else socket.MSG_DONTWAIT
        while True:
            try:
                if len(parts) == 1:
                    self.sock.send(parts[0], flags)
                else:
                    self.sock.sendmsg(parts, (), flags)
                return
            except BlockingIOError:
                if wait is not None:
                    wait()
            except OSError as error:
                raise ChannelClosedError(str(error)) from error

    def _send_in_segment(
        self, slot: int, kind: int, parts: list[memoryview], wait: Callable[[], None] | None
    ) -> None:
        lengths = [part.nbytes for part in parts]
        starts, size = _layout(lengths)
        number = self._segment(size, wait)
        target = memoryview(self._mine[number])
        for part, start, length in zip(parts, starts, lengths, strict=True):
            _copy(target[start : start + length], part)
        head = _HEADER.pack(_SEGMENT, slot)
        self._transmit([head, struct.pack("<BI", kind, number), _lengths(lengths)], wait)

    def _segment(self, size: int, wait: Callable[[], None] | None) -> int:
        """A segment of at least `size` bytes that nobody reads."""
        self._take_back()
        fitting = [number for number in self._free if len(self._mine[number]) >= size]
        if fitting:
            chosen = min(fitting, key=lambda number: len(self._mine[number]))
            self._free.remove(chosen)
            return chosen
        number = len(self._mine)
        size = max(size, self._least)
        size += -size % mmap.PAGESIZE
        fd = os.memfd_create("skate-dag", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, size)
            self._mine[number] = mmap.mmap(fd, size)
            self._transmit([_HEADER.pack(_NEW_SEGMENT, 0) + _RELEASE.pack(number)], wait)
            self._transmit_descriptor(fd, wait)
        finally:
            os.close(fd)
        return number

    def _transmit_descriptor(self, fd: int, wait: Callable[[], None] | None) -> None:
        while True:
            try:
                socket.send_fds(self.sock, [b"f"], [fd], 0 if wait is None else socket.MSG_DONTWAIT)
                return
            except BlockingIOError:
                if wait is not None:
                    wait()
            except OSError as error:
                raise ChannelClosedError(str(error)) from error

    def _take_back(self) -> None:
        """Note the segments that the reader has released."""
        while True:
            try:
                message = self.sock.recv(_RECEIVE, socket.MSG_DONTWAIT)
            except OSError:
                return  # nothing there; or the other side is gone, which sending will say
            if not message:
                return
            if len(message) == 4:  # a release
                self._free.append(_RELEASE.unpack(message)[0])
            elif message[0] == _NEW_SEGMENT:
                self._map(
                    _RELEASE.unpack_from(message, _HEADER.size)[0]
                )  # its descriptor is the very next message
            else:
                self._early.append(message)

    # -- receiving ----------------------------------------

    def receive(self, timeout: float | None = None) -> tuple[int, Any]:
        """The next value, or `Failure`, and its slot.

        Args:
            timeout: Seconds to wait at most; None waits for ever.

        Raises:
            TimeoutError: time was up.
            ChannelClosedError: the other side is gone.
        """
        if self._released:
            self._give_back()
        while True:
            message = self._early.popleft() if self._early else self._next_message(timeout)
            if len(message) == 4:  # a release
                self._free.append(_RELEASE.unpack(message)[0])
                continue
            kind, slot = _unpack_header(message)
            if kind == _VALUE:
                return slot, _loads(message[3:])
            if kind == _ERROR:
                return slot, Failure(_loads(message[3:]))
            if kind == _PARTS:
                return slot, _load(_split(memoryview(message), _HEADER.size))
            if kind == _SEGMENT:
                return slot, self._read_segment(message)
            self._map(_RELEASE.unpack_from(message, _HEADER.size)[0])

    def _next_message(self, timeout: float | None) -> bytes:
        if timeout != self._timeout:
            self._timeout = timeout
            seconds = 0.0 if timeout is None else max(timeout, 1e-6)
            whole = int(seconds)
            option = struct.pack("ll", whole, int((seconds - whole) * 1e6))
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, option)
        receive = self.sock.recv
        # A wake-up costs more than a few looks, so look a few times while the sender may be at it on another core.
        for _ in range(_LOOKS):
            try:
                message = receive(_RECEIVE, _NOW)
                break
            except BlockingIOError:
                os.sched_yield()
            except OSError as error:
                raise ChannelClosedError(str(error)) from error
        else:
            message = self._block()
        if not message:
            raise ChannelClosedError("the other side has closed the channel")
        return message

    def _block(self) -> bytes:
        try:
            return self.sock.recv(_RECEIVE)
        except BlockingIOError:
            raise TimeoutError from None
        except OSError as error:
            raise ChannelClosedError(str(error)) from error

    def _map(self, number: int) -> None:
        while True:
            try:
                _data, fds, _flags, _address = socket.recv_fds(self.sock, 16, 1)
                break
            except BlockingIOError:
                continue  # `receive` is out of time, but the descriptor is on its way: later it would pass for a message
            except OSError as error:
                raise ChannelClosedError(str(error)) from error
        if not fds:
            raise ChannelClosedError("the other side has closed the channel")
        try:
            self._theirs[number] = mmap.mmap(fds[0], os.fstat(fds[0]).st_size)
        finally:
            os.close(fds[0])

    def _read_segment(self, message: bytes) -> Any:
        kind, number = struct.unpack_from("<BI", message, _HEADER.size)
        lengths = _read_lengths(memoryview(message), _HEADER.size + 5)[0]
        starts, size = _layout(lengths)
        # A ctypes array exports its buffer and can carry an attribute: arrays over the view keep it alive as their owner, where a
        # slice of the mapping would be by-passed for the mapping itself.
        owner = (ctypes.c_char * size).from_buffer(self._theirs[number])
        owner.view_of = _Owner(self._released, number)  # type: ignore[attr-defined]
        view = memoryview(owner).cast("B").toreadonly()
        del owner
        value = _load([view[start : start + length] for start, length in zip(starts, lengths, strict=True)])
        return Failure(value) if kind == _ERROR else value

    def _give_back(self) -> None:
        while self._released:
            try:
                self.sock.send(_RELEASE.pack(self._released[0]), socket.MSG_DONTWAIT)
            except BlockingIOError:
                return  # the next receive tries again
            except OSError:
                self._released.clear()  # the writer is gone, and its segments with it
                return
            self._released.popleft()

    def readable(self) -> bool:
        """Whether `receive` would not wait."""
        return bool(self._early) or bool(select.select([self.sock], [], [], 0)[0])

    def close(self) -> None:
        """End the connection; segments go once nobody has views of them."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)  # also for copies of the descriptor in forked children
        except OSError:
            pass  # the other side was faster
        self.sock.close()
        self._mine.clear()
        self._theirs.clear()
        self._early.clear()


def _layout(lengths: Sequence[int]) -> tuple[list[int], int]:
    """Where parts of these lengths begin, and how long they are together."""
    starts, position = [], 0
    for length in lengths:
        starts.append(position)
        position += length + -length % _ALIGN
    return starts, max(position, 1)


def _lengths(lengths: Sequence[int]) -> bytes:
    return struct.pack(f"<I{len(lengths)}Q", len(lengths), *lengths)


def _read_lengths(message: memoryview, offset: int) -> tuple[list[int], int]:
    (count,) = struct.unpack_from("<I", message, offset)
    lengths = list(struct.unpack_from(f"<{count}Q", message, offset + 4))
    return lengths, offset + 4 + 8 * count


def _split(message: memoryview, offset: int) -> list[memoryview]:
    lengths, position = _read_lengths(message, offset)
    parts = []
    for length in lengths:
        parts.append(message[position : position + length])
        position += length
    return parts


def _load(parts: list[memoryview]) -> Any:
    return pickle.loads(parts[0], buffers=parts[1:])


def _copy(target: memoryview, source: memoryview) -> None:
    numpy = sys.modules.get("numpy")
    if target.nbytes > 1 << 20 and numpy is not None:  # it copies without holding the interpreter's lock
        numpy.copyto(numpy.frombuffer(target, numpy.uint8), numpy.frombuffer(source, numpy.uint8))
    else:
        target[:] = source.cast("B") if source.format != "B" or source.ndim != 1 else source
