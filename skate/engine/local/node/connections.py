"""The node's connections: who may connect, reading what they say, writing to them, and their ends."""

from __future__ import annotations

import errno
import marshal
import socket
import time
from typing import TYPE_CHECKING, Any

from skate.engine.local import protocol, wire
from skate.engine.local.node.process import Process, readable

if TYPE_CHECKING:
    from skate.engine.local.node.server import Server


class Connections:
    """The sockets of drivers and workers."""

    def __init__(self, server: Server, path: str) -> None:
        self.server = server
        self.listener = wire.listen(path)
        self.by_fd: dict[int, Process] = {}
        self.greetings: dict[int, wire.Greeting] = {}
        self.to_flush: set[Process] = set()
        server.poller.add(self.listener.fileno())

    # -- beginnings ----------------------------------------

    def attach(self, process: Process, sock: socket.socket) -> None:
        """A process is connected."""
        conn = process.conn = wire.Conn(sock, process)
        self.server.processes[process.number] = process
        self.by_fd[conn.fd] = process
        self.server.directory.client_joined(process.number)
        self.server.poller.add(conn.fd)

    def accept(self) -> None:
        """Somebody wants to connect: it must show the session's token first."""
        while True:
            try:
                sock, _address = self.listener.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self.warn_drivers(f"the node is out of file descriptors ({error}); raise `ulimit -n`.")
                return
            greeting = wire.Greeting(sock, time.monotonic() + 5)
            self.greetings[greeting.fd] = greeting
            self.server.poller.add(greeting.fd)

    def greet(self, greeting: wire.Greeting) -> None:
        """More of a greeting has come."""
        try:
            hello = greeting.receive(self.server.token)
            if hello is None:
                return
            number = int(hello.decode())
        except (wire.ProtocolError, ValueError):
            self._refuse(greeting)
            return
        if hello == protocol.OBSERVER:
            self._admit_observer(greeting)
            return
        if hello == protocol.DRIVER:
            self._admit_driver(greeting)
            return
        process = self.server.processes.get(number)
        if process is None or process.conn is not None or process.is_driver:
            self._refuse(greeting)
            return
        del self.greetings[greeting.fd]
        self.server.poller.remove(greeting.fd)
        self.attach(process, greeting.sock)

    def _admit_observer(self, greeting: wire.Greeting) -> None:
        del self.greetings[greeting.fd]
        self.server.poller.remove(greeting.fd)
        process = Process(self.server.workers.new_number(), False, "")
        process.reports = False
        self.attach(process, greeting.sock)

    def _admit_driver(self, greeting: wire.Greeting) -> None:
        """Give a driver that joins its number, the session's settings and its shared memory."""
        del self.greetings[greeting.fd]
        self.server.poller.remove(greeting.fd)
        number = self.server.workers.new_number()
        body = marshal.dumps({**self.server.config, "first_number": number}, 2)
        greeting.sock.setblocking(True)
        greeting.sock.settimeout(1.0)  # a few KB, into an empty socket
        try:
            socket.send_fds(
                greeting.sock, [len(body).to_bytes(4, "little") + body], [self.server.config["arena_fd"]]
            )
        except OSError:
            greeting.sock.close()
            return
        process = Process(number, True, self.server.config["machine_id"])
        process.job = number
        self.attach(process, greeting.sock)

    def tick(self, now: float) -> None:
        """Refuse those who say nothing."""
        for greeting in list(self.greetings.values()):
            if now > greeting.deadline:
                self._refuse(greeting)

    def _refuse(self, greeting: wire.Greeting) -> None:
        del self.greetings[greeting.fd]
        self.server.poller.remove(greeting.fd)
        greeting.sock.close()

    # -- reading and writing ----------------------------------------

    def read(self, process: Process, conn: wire.Conn) -> None:
        """Read what a process has said, and do what it asks."""
        try:
            messages = conn.receive()
            if messages is None:
                self.left(process)
                return
            for message in messages:
                protocol.check(message, protocol.TO_NODE)
                self.server.handlers[message[0]](self.server, process, *message[1:])
                self.server.carry_out()  # at once: a later message may make an instruction out of date
        except (
            wire.ProtocolError,
            protocol.MalformedMessage,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
        ) as error:
            # A frame that makes no sense: whoever sent it is broken or hostile, and is cut off; the others go on.
            self.warn_drivers(
                f"process {process.number} (pid {process.pid}) sent a bad message and was cut off: {error!r}."
            )
            if process.is_driver:
                self.flush(process)  # it is cut off, but shall know why
            else:
                self.server.workers.kill(process)
            self.left(process)

    def send(self, number: int, message: tuple[Any, ...]) -> None:
        """Queue a message for a process, if it is connected."""
        process = self.server.processes.get(number)
        if process is not None and process.conn is not None:
            process.conn.send(message)
            self.to_flush.add(process)

    def warn_drivers(self, text: str) -> None:
        """Have every driver log a warning."""
        for driver in self.server.drivers():
            self.send(driver.number, (protocol.WARN, text))

    def flush(self, process: Process) -> None:
        """Write what is queued, as far as the socket takes it."""
        conn = process.conn
        if conn is None:
            return
        wanted = conn.wants_write
        if not conn.flush():
            return  # its end arrives as an event of its own
        if conn.wants_write != wanted:
            self.server.poller.change(conn.fd, conn.wants_write)
        if process.is_driver:
            self.server.printing.written(conn)

    def flush_all(self) -> None:
        """Write all that is queued."""
        while self.to_flush:
            self.flush(self.to_flush.pop())

    # -- ends ----------------------------------------

    def hear_out(self, process: Process) -> None:
        """A process has been ended: read what it had still to say, and close its connection."""
        while process.conn is not None:
            before = process.conn
            self.read(process, before)
            if process.conn is before and not readable(before.sock):
                self.left(process)

    def left(self, process: Process) -> None:
        """A connection has ended."""
        conn = process.conn
        if conn is None:
            return
        server = self.server
        process.conn = None
        del self.by_fd[conn.fd]
        server.poller.remove(conn.fd)
        conn.close()
        server.directory.client_left(process.number)
        server.scheduler.client_left(process.number)
        server.inquiry.reports.client_left(process.number)
        server.waiting.client_left(process.number)
        self.to_flush.discard(process)
        for key in server.table.client_left(process.number):
            server.table.owner_died(key)
        if process.is_driver:
            del server.processes[process.number]
            if not server.drivers() and not server.config["standing"]:
                server.stopping = True
        elif not process.reports:
            del server.processes[process.number]
        elif process.status is not None:
            server.workers.bury(process)

    def end(self) -> None:
        """Tell the drivers that it is over."""
        for driver in self.server.drivers():
            self.send(driver.number, (protocol.BYE,))
            if driver.conn is not None:
                driver.conn.sock.setblocking(True)
                driver.conn.sock.settimeout(1.0)
                driver.conn.flush()
