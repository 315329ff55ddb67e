"""What workers print: read from their pipes, kept in files, and passed on to the drivers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from skate.engine.local import protocol, wire
from skate.engine.logfiles import LogFiles

if TYPE_CHECKING:
    from skate.engine.local.node.process import Process
    from skate.engine.local.node.server import Server

_BACKLOG = 4 << 20
"""Bytes of output that may wait for a driver before workers' pipes are left full."""


class Printing:
    """The pipes of workers' output."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.pipes: dict[int, Process] = {}
        self._stalled: set[int] = set()
        self.files = LogFiles(os.path.join(server.config["session_dir"], "logs"))

    def add(self, fd: int, process: Process) -> None:
        """Read this pipe from now on."""
        self.pipes[fd] = process
        self.server.poller.add(fd)

    def read(self, fd: int) -> None:
        """A pipe has something, or has ended."""
        process = self.pipes[fd]
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        stream, lines = process.pipes[fd]
        pieces = lines.feed(data) if data else lines.close()
        if not data:
            self._close(process, fd)
        self._log(process, stream, pieces)

    def drain(self, process: Process) -> None:
        """Read what is left in a process's pipes, and close them."""
        for fd in list(process.pipes):
            stream, lines = process.pipes[fd]
            while True:
                try:
                    data = os.read(fd, 65536)
                except BlockingIOError:
                    break
                if not data:
                    break
                self._log(process, stream, lines.feed(data))
            self._log(process, stream, lines.close())
            self._close(process, fd)
        self.files.close(process.number)

    def written(self, conn: wire.Conn) -> None:
        """A driver has taken what was written: pipes that were left full may go on."""
        if self._stalled and conn.backlog() < _BACKLOG // 2:
            for fd in self._stalled:
                self.server.poller.add(fd)
            self._stalled.clear()

    def _close(self, process: Process, fd: int) -> None:
        del process.pipes[fd]
        del self.pipes[fd]
        if fd in self._stalled:
            self._stalled.discard(fd)
        else:
            self.server.poller.remove(fd)
        os.close(fd)

    def _log(self, process: Process, stream: str, pieces: list[tuple[str, bytes]]) -> None:
        for _name, text in pieces:
            self.files.write(process.number, process.pid, stream, text)
        if not self.server.config["log_to_driver"]:
            return
        connections = self.server.connections
        for name, text in pieces:
            for driver in self.server.drivers():
                if process.job not in (driver.number, 0):
                    continue  # it works for another program
                message = (protocol.LOG, stream, name or process.label or "worker", process.pid, text)
                connections.send(driver.number, message)
                connections.flush(driver)
                if driver.conn is not None and driver.conn.backlog() > _BACKLOG:
                    for fd in self.pipes:
                        if fd not in self._stalled:
                            self._stalled.add(fd)
                            self.server.poller.remove(fd)
