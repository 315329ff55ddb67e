"""The processes of workers: having them forked, hearing of their ends, killing them."""

from __future__ import annotations

import marshal
import os
import signal
import socket
import time
from typing import TYPE_CHECKING

from skate.engine.local import protocol
from skate.engine.local.node.output import Lines
from skate.engine.local.node.process import Process, describe_end
from skate.engine.local.node.scheduler import OUT_OF_MEMORY
from skate.engine.local.refusals import out_of_memory

if TYPE_CHECKING:
    from skate.engine.local.node.server import Server

_RUNS = -(1 << 31)
"""In the zygote's report: the process has been forked, and has no status yet."""


class Workers:
    """The workers, by way of the zygote."""

    def __init__(self, server: Server, zygote: socket.socket, first_number: int) -> None:
        self.server = server
        self.zygote = zygote
        zygote.setblocking(False)
        server.poller.add(zygote.fileno())
        self._said = bytearray()
        self._next_number = first_number

    def new_number(self) -> int:
        """A number for a process that joins."""
        number = self._next_number
        self._next_number += 1
        return number

    def fork(self, env: str, machine: str) -> None:
        """Have the zygote fork a worker, which counts as being on that machine."""
        number = self.new_number()
        process = Process(number, False, machine)
        self.server.processes[number] = process
        ends = []
        for stream in ("out", "err"):
            read, write = os.pipe()
            os.set_blocking(read, False)
            process.pipes[read] = (stream, Lines())
            self.server.printing.add(read, process)
            ends.append(write)
        self.server.scheduler.worker_started(number, env, machine)
        self.server.inquiry.history.worker_started(number, time.time())
        settled = self.server.environments.settled[env]
        body = marshal.dumps((number, settled, self.server.clusters.facts(machine)), 2)
        self.zygote.setblocking(True)
        socket.send_fds(self.zygote, [len(body).to_bytes(4, "little") + body], ends)
        self.zygote.setblocking(False)
        for write in ends:
            os.close(write)

    def read_zygote(self) -> None:
        """The zygote tells of processes that have started or ended."""
        try:
            data = self.zygote.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.server.stopping = True
            return
        self._said += data
        while len(self._said) >= 16:
            number = int.from_bytes(self._said[:8], "little")
            pid = int.from_bytes(self._said[8:12], "little")
            status = int.from_bytes(self._said[12:16], "little", signed=True)
            del self._said[:16]
            process = self.server.processes.get(number)
            if process is None:
                continue
            process.pid = pid
            if status != _RUNS:
                process.status = status
                # All that it wrote before it ended is in the socket: read it before burying it.
                self.server.connections.hear_out(process)
                if number in self.server.processes:
                    self.bury(process)

    def bury(self, process: Process) -> None:
        """A worker's process has ended, and all that it said has been read."""
        server = self.server
        del server.processes[process.number]
        server.printing.drain(process)
        cause = process.ended or describe_end(process.status)
        server.inquiry.worker_ended(process)
        lane = server.scheduler.worker_died(process.number)
        if lane is not None:
            server.connections.send(lane[0], (protocol.LOST, lane[1], process.number, cause, process.why))
        error = None
        if process.why == OUT_OF_MEMORY:
            error = out_of_memory(f"The {process.label} actor was ended: {cause}.")
        server.table.worker_died(process.number, cause, error)

    def kill(self, process: Process) -> None:
        """End a worker's process, and what it has started, now."""
        if process.pid and process.status is None:
            for kill in (os.killpg, os.kill):
                try:
                    kill(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        elif not process.pid:
            process.ended = process.ended or "it was killed before it had started"
            process.doomed = True
