"""Open connections, passed from one process of this machine to another over a Unix socket.

What the client has sent and nobody has read yet stays in the connection, so nothing is lost on the way.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

_MOST_AT_ONCE = 64


class Receiver:
    """Takes connections over at `path`. `take` is called with each."""

    def __init__(self, path: str, take: Callable[[socket.socket], None]) -> None:
        self.path = path
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._peers: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.path.exists(path):
            os.unlink(path)  # of a process that had the same name and has died
        self._listener.bind(path)
        os.chmod(path, 0o600)
        self._listener.listen(64)
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError):
            return
        peer.setblocking(False)
        self._peers.add(peer)
        self._loop.add_reader(peer, self._receive, peer)

    def _receive(self, peer: socket.socket) -> bool:
        """Take what has come; False if that was all."""
        for _ in range(_MOST_AT_ONCE):
            try:
                data, fds, _flags, _address = socket.recv_fds(peer, 1, 1)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                data, fds = b"", []
            if not data:
                self._loop.remove_reader(peer)
                self._peers.discard(peer)
                peer.close()
                return False
            for fd in fds:
                sock = socket.socket(fileno=fd)
                sock.setblocking(False)
                self._take(sock)
        return True

    def finish(self) -> None:
        """Take what is on its way here, and no more: whoever sends anything later is told at once, and sends it elsewhere."""
        if os.path.exists(self.path):
            os.unlink(self.path)
        waiting = -1
        while waiting != len(self._peers):
            waiting = len(self._peers)
            self._accept()
        for peer in list(self._peers):
            peer.shutdown(socket.SHUT_RD)
            while peer in self._peers and self._receive(peer):
                pass

    def close(self) -> None:
        """Take no more."""
        for sock in (*self._peers, self._listener):
            self._loop.remove_reader(sock)
            sock.close()
        self._peers.clear()
        if os.path.exists(self.path):
            os.unlink(self.path)


class Sender:
    """Passes connections to the receiver at `path`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._sock: socket.socket | None = None

    def send(self, fd: int) -> bool:
        """Pass a connection on; False if the receiver is gone or does not keep up. The caller closes its own descriptor."""
        for _attempt in range(2):
            try:
                if self._sock is None:
                    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                    self._sock = sock
                    sock.connect(self.path)
                    sock.setblocking(False)
                socket.send_fds(self._sock, [b"c"], [fd])
                return True
            except BlockingIOError:
                return False
            except OSError:
                self.close()  # the receiver may have been restarted: once more
        return False

    def close(self) -> None:
        """Close the way there."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
