"""Frames on Unix sockets.

A frame is an 8-byte header (magic, body length) and a body: one list of messages, written by marshal, so that many calls share one
write. marshal is twice as fast as pickle for the flat tuples of bytes and numbers that messages are, and reading it runs no code. A
peer that connects must first send the session's token; nothing that it sends is parsed before.
"""

from __future__ import annotations

import marshal
import os
import socket
import struct
from _operator import _compare_digest as same_bytes  # constant time; by way of hmac it would load OpenSSL
from collections.abc import Callable
from typing import Any

MAGIC = 0x534B4154
_HEADER = struct.Struct("<II")
_RECV = 65536
MAX_FRAME = 1 << 30
"""Longer frames are refused: large values travel through shared memory."""
HELLO = b"SKATE\x01"
TOKEN_BYTES = 16


class ProtocolError(Exception):
    """A peer sent bytes that are not a frame."""


class Conn:
    """One connected socket: messages in, messages out, never blocking.

    `send` queues a message; `flush` writes all that is queued as one frame. What the kernel does not take at once waits in
    `_unsent`, and `wants_write` tells the poller's owner to watch for room.
    """

    __slots__ = (
        "_inbox",
        "_need",
        "_parts",
        "_unsent",
        "closed",
        "fd",
        "on_messages",
        "out",
        "peer",
        "sock",
        "wants_write",
    )

    def __init__(self, sock: socket.socket, peer: Any = None) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.fd = sock.fileno()
        self.out: list[Any] = []
        self.peer = peer
        self.closed = False
        self.wants_write = False
        self._unsent: list[memoryview] = []
        self._inbox = bytearray()
        self._need = 0
        self.on_messages: Callable[[Conn, list[Any]], None] | None = None

    def send(self, message: tuple[Any, ...]) -> None:
        """Queue a message for the next flush."""
        self.out.append(message)

    def flush(self) -> bool:
        """Write what is queued, as far as the kernel takes it. False if the peer is gone."""
        out = self.out
        if out:
            self.out = []
            body = marshal.dumps(out, 2)
            frame = _HEADER.pack(MAGIC, len(body)) + body if len(body) <= MAX_FRAME else _halved(out)
            if self._unsent:
                self._unsent.append(memoryview(frame))
            else:
                try:
                    sent = self.sock.send(frame)
                except BlockingIOError:
                    sent = 0
                except OSError:
                    self.closed = True
                    return False
                if sent == len(frame):
                    return True
                self._unsent.append(memoryview(frame)[sent:])
        return self.push()

    def push(self) -> bool:
        """Write more of what the kernel did not take. False if the peer is gone."""
        unsent = self._unsent
        while unsent:
            try:
                sent = self.sock.send(unsent[0])
            except BlockingIOError:
                self.wants_write = True
                return True
            except OSError:
                self.closed = True
                return False
            if sent == len(unsent[0]):
                unsent.pop(0)
            else:
                unsent[0] = unsent[0][sent:]
        self.wants_write = False
        return not self.closed

    def backlog(self) -> int:
        """Bytes that wait for the kernel to take them."""
        return sum(len(part) for part in self._unsent)

    def receive(self) -> list[Any] | None:
        """The messages that have arrived whole; None if the peer is gone.

        Raises:
            ProtocolError: what came is no frame.
        """
        try:
            data = self.sock.recv(_RECV)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        inbox = self._inbox
        if not inbox:
            # The common case: exactly one whole frame.
            if len(data) >= 8:
                magic, length = _HEADER.unpack_from(data)
                if magic == MAGIC and len(data) == length + 8:
                    return _parse(memoryview(data)[8:])
        inbox += data
        messages: list[Any] = []
        while len(inbox) >= 8:
            if self._need == 0:
                magic, length = _HEADER.unpack_from(inbox)
                if magic != MAGIC or length > MAX_FRAME:
                    raise ProtocolError(f"header {bytes(inbox[:8])!r} is not a frame's.")
                self._need = length + 8
            while len(inbox) < self._need:
                # A long frame: take all that is there now, rather than one poll a piece.
                try:
                    data = self.sock.recv(min(1 << 20, self._need - len(inbox)))
                except BlockingIOError:
                    return messages
                except OSError:
                    return messages or None
                if not data:
                    return messages or None
                inbox += data
            messages += _parse(memoryview(bytes(inbox[8 : self._need])))
            del inbox[: self._need]
            self._need = 0
        return messages

    def close(self) -> None:
        """Close the socket; queued messages are lost."""
        self.closed = True
        self.sock.close()


def _halved(messages: list[Any]) -> bytes:
    """Messages that are too many for one frame, as several."""
    frames = b""
    half = len(messages) // 2
    for part in (messages[:half], messages[half:]):
        body = marshal.dumps(part, 2)
        if len(body) <= MAX_FRAME:
            frames += _HEADER.pack(MAGIC, len(body)) + body
        elif len(part) == 1:
            raise ProtocolError(f"a message of {len(body)} bytes is over the limit of {MAX_FRAME}.")
        else:
            frames += _halved(part)
    return frames


def _parse(body: memoryview) -> list[Any]:
    try:
        messages = marshal.loads(body)
    except (ValueError, EOFError, TypeError, MemoryError, RecursionError) as error:
        raise ProtocolError(f"a frame's body can't be read: {error}.") from error
    if type(messages) is not list:
        raise ProtocolError(f"a frame holds a {type(messages).__name__}, not a list of messages.")
    for message in messages:
        if type(message) is not tuple or not message:
            raise ProtocolError(f"a frame holds a {type(message).__name__} where a message should be.")
    return messages


def listen(path: str, backlog: int = 128) -> socket.socket:
    """A listening socket that only this user can connect to."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        sock.bind(path)
    finally:
        os.umask(old)
    sock.listen(backlog)
    sock.setblocking(False)
    return sock


def connect(path: str, token: bytes, hello: bytes = b"") -> socket.socket:
    """Connect and show the token. `hello`, at most 255 bytes, says who calls.

    Raises:
        OSError: nobody listens there.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
        sock.sendall(HELLO + token + bytes([len(hello)]) + hello)
    except OSError:
        sock.close()
        raise
    return sock


class Greeting:
    """A connection that has not shown the token yet."""

    __slots__ = ("_data", "deadline", "fd", "sock")

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.fd = sock.fileno()
        self.deadline = deadline
        self._data = b""

    def receive(self, token: bytes) -> bytes | None:
        """What the peer said of itself once it is admitted; None while more must come.

        Raises:
            ProtocolError: it is a stranger, or gone.
        """
        base = len(HELLO) + TOKEN_BYTES + 1
        want = base if len(self._data) < base else base + self._data[base - 1]
        while len(self._data) < want:
            try:
                more = self.sock.recv(want - len(self._data))
            except BlockingIOError:
                return None
            except OSError as error:
                raise ProtocolError(f"the peer is gone: {error}.") from error
            if not more:
                raise ProtocolError("the peer left before it had shown the token.")
            self._data += more
            if len(self._data) >= base:
                want = base + self._data[base - 1]
            if not HELLO.startswith(self._data[: len(HELLO)]):
                raise ProtocolError("a stranger: not this protocol.")
        if not same_bytes(self._data[: base - 1], HELLO + token):
            raise ProtocolError("a stranger: wrong token.")
        return self._data[base:]
