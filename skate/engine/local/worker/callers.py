"""Those who call this worker: their connections, and what they say. All with the engine's mutex held."""

from __future__ import annotations

import functools
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from skate.engine.local import protocol, wire

if TYPE_CHECKING:
    from skate.engine.local.worker.main import Worker


class Callers:
    """The processes that send this worker tasks and calls."""

    def __init__(self, worker: Worker, path: str) -> None:
        self.worker = worker
        self.conns: set[wire.Conn] = set()
        self.greetings: dict[int, wire.Greeting] = {}
        self.listener = wire.listen(path)
        loop = worker.engine.loop
        loop.handlers[self.listener.fileno()] = self._accept
        loop.poller.add(self.listener.fileno())
        self._plain_lost = loop.on_lost
        loop.on_lost = self.lost

    def give_back(self) -> None:
        """Return the tasks that have not started: others can run them."""
        by_conn: dict[wire.Conn, list[int]] = {}
        for conn, message in list(self.worker.inbox):
            if conn is not None:
                by_conn.setdefault(conn, []).append(message[1])
        self.worker.inbox = deque(item for item in self.worker.inbox if item[0] is None)
        for conn, keys in by_conn.items():
            conn.send((protocol.STOLEN, keys))
            self.worker.engine.loop.flush(conn)

    def on_messages(self, conn: wire.Conn, messages: list[Any]) -> None:
        """Tasks and calls, and what is said about them."""
        try:
            for message in messages:
                protocol.check(message, protocol.TO_WORKER)
        except protocol.MalformedMessage:
            self.lost(conn)  # broken or hostile: cut off, without harm to the others
            return
        worker = self.worker
        inbox = worker.inbox
        for message in messages:
            op = message[0]
            if op == protocol.TASK or op == protocol.CALL:
                inbox.append((conn, message))
            elif op == protocol.FUNCTION:
                worker.functions[message[1]] = (message[4],)
                worker.function_names[message[1]] = message[2]
                worker.function_modules[message[1]] = message[3]
            elif op == protocol.LEASE:
                worker.lease(message[1], message[2], message[4])
            elif op == protocol.CANCEL:
                worker.cancel(message[1], message[2], message[3])
            elif op == protocol.STEAL:
                keys = [m[1] for c, m in inbox if c is conn]
                worker.inbox = inbox = deque(item for item in inbox if item[0] is not conn)
                conn.send((protocol.STOLEN, keys))
                worker.engine.loop.dirty.add(conn)
            elif op == protocol.TAKEN:
                stream = worker.streams.get(message[1])
                if stream is not None:
                    stream.taken = message[2]
                    stream.changed()
            elif op == protocol.DROP:
                stream = worker.streams.get(message[1])
                if stream is not None:
                    stream.dropped = True
                    stream.changed()
        if inbox:
            if worker.blocked:
                self.give_back()
            worker.notify()

    def _accept(self) -> None:
        while True:
            try:
                sock, _address = self.listener.accept()
            except OSError:
                return
            greeting = wire.Greeting(sock, time.monotonic() + 5)
            self.greetings[greeting.fd] = greeting
            self.worker.engine.loop.handlers[greeting.fd] = functools.partial(self._greet, greeting)
            self.worker.engine.loop.poller.add(greeting.fd)
            self._greet(greeting)

    def _greet(self, greeting: wire.Greeting) -> None:
        try:
            hello = greeting.receive(self.worker.settings["token"])
            if hello is None:
                return
            caller = int(hello.decode())
        except (wire.ProtocolError, ValueError):
            self._end_greeting(greeting)
            greeting.sock.close()
            return
        self._end_greeting(greeting)
        greeting.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        conn = wire.Conn(greeting.sock, caller)
        conn.on_messages = self.on_messages
        self.conns.add(conn)
        self.worker.engine.loop.add(conn)

    def _end_greeting(self, greeting: wire.Greeting) -> None:
        del self.greetings[greeting.fd]
        del self.worker.engine.loop.handlers[greeting.fd]
        self.worker.engine.loop.poller.remove(greeting.fd)

    def lost(self, conn: wire.Conn) -> None:
        """A connection has ended: nobody waits for what it had asked for."""
        if conn not in self.conns:
            self._plain_lost(conn)
            return
        self.conns.discard(conn)
        self.worker.engine.loop.remove(conn)
        self.worker.inbox = deque(item for item in self.worker.inbox if item[0] is not conn)
        for stream in self.worker.streams.values():
            if stream.conn is conn:
                stream.dropped = True
                stream.changed()
