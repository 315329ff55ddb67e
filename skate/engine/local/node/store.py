"""The store of shared objects: giving room, moving objects to disk when there is none, and letting processes read in place."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Any

from skate.engine.local import protocol
from skate.engine.local.node import directory as objects
from skate.engine.local.node.allocator import Allocator
from skate.engine.local.node.spill import Spiller

if TYPE_CHECKING:
    from skate.engine.local.node.process import Process
    from skate.engine.local.node.server import Server


class Store:
    """Carries out what the directory and the allocator decide."""

    def __init__(self, server: Server, arena_fd: int) -> None:
        self.server = server
        self.allocator = Allocator(server.config["store_bytes"])
        self.late_pins: list[tuple[int, int, int]] = []
        """(process, request, key) of reads that came before the word that the object is complete."""
        self._waiting: deque[tuple[int, int, int, int]] = deque()
        self._spilling: dict[int, tuple[int, int]] = {}
        self._orphans: dict[int, int] = {}
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self.spiller = Spiller(arena_fd, server.config["spill_dir"], lambda: os.write(self._wake_write, b"."))
        server.poller.add(self._wake_read)

    @property
    def wake_fd(self) -> int:
        """Readable when the spiller has finished something."""
        return self._wake_read

    def close(self) -> None:
        """End the spiller's thread."""
        self.spiller.stop()
        os.close(self._wake_read)
        os.close(self._wake_write)

    # -- the directory's instructions ----------------------------------------

    def carry_out(self, what: str, *rest: Any) -> None:
        """Do what the directory has decided."""
        if what == "object":
            client, key = rest
            entry = self.server.directory.entries.get(key)
            if entry is None:
                self.server.connections.send(client, (protocol.OBJECT, key, objects.LOST, None))
            else:
                self.server.connections.send(client, (protocol.OBJECT, key, entry.kind, entry.payload))
        elif what == "probe":
            self.server.connections.send(rest[0], (protocol.PROBE, rest[1]))
        elif what == "free":
            self.allocator.free(rest[0])
            self._retry()
        elif what == "free_after_spill":
            self._orphans[rest[0]] = rest[1]
        elif what == "unlink":
            try:
                os.unlink(rest[0])
            except FileNotFoundError:
                pass
        elif what == "gone":
            self.server.table.release(rest[0])
            if rest[1] and not self.server.scheduler.machines.single:
                self.server.connections.send(rest[0] >> objects.OWNER_SHIFT, (protocol.FORGET, rest[0]))
        elif what == "lost":
            self.server.connections.send(rest[0], (protocol.OBJECT_LOST, rest[1]))

    # -- room ----------------------------------------

    def allocate(self, process: Process, request: int, key: int, size: int) -> None:
        """A process wants room for an object; the answer comes when there is some."""
        self._waiting.append((process.number, request, key, size))
        self._retry()

    def _retry(self) -> None:
        directory = self.server.directory
        while self._waiting:
            number, request, key, size = self._waiting[0]
            process = self.server.processes.get(number)
            if process is None or process.conn is None:
                self._waiting.popleft()
                continue
            if directory.exists(number, key):
                self._waiting.popleft()
                self.server.connections.send(number, (protocol.REPLY, request, None))
                continue
            offset = self.allocator.allocate(size) if size <= self.allocator.capacity else None
            if offset is None:
                if size <= self.allocator.capacity and self._make_room(size):
                    return  # a spill is under way: its end tries again
                # Nothing can be moved away: the object is written to a file from the start.
                os.makedirs(self.server.config["spill_dir"], mode=0o700, exist_ok=True)
                path = self.spiller.path(key)
                self._waiting.popleft()
                directory.create(number, key, -1, size, path, process.machine)
                self.server.connections.send(number, (protocol.REPLY, request, path))
                continue
            self._waiting.popleft()
            directory.create(number, key, offset, size, "", process.machine)
            self.server.connections.send(number, (protocol.REPLY, request, offset))

    def _make_room(self, size: int) -> bool:
        if self._spilling:
            return True
        victims = self.server.directory.victims(size)
        for key, entry in victims:
            entry.spilling = True
            self._spilling[key] = (entry.offset, entry.size)
            self.spiller.start(key, entry.offset, entry.size)
        return bool(victims)

    def spills_done(self) -> None:
        """The spiller has finished something."""
        os.read(self._wake_read, 4096)
        directory = self.server.directory
        while self.spiller.results:
            key, path, error = self.spiller.results.popleft()
            self._spilling.pop(key, None)
            orphan = self._orphans.pop(key, None)
            if orphan is not None:
                self.allocator.free(orphan)
            if error is not None:
                entry = directory.entries.get(key)
                if entry is not None:
                    entry.spilling = False
                self._fail(error)
            elif not directory.spilled(key, path):
                os.unlink(path)
        if not self._spilling:
            self._retry()

    def _fail(self, error: OSError) -> None:
        text = f"{error.strerror} while moving objects to {self.server.config['spill_dir']}"
        while self._waiting:
            number, request, _key, size = self._waiting.popleft()
            self.server.connections.send(number, (protocol.REPLY, request, (text, size)))

    # -- reading ----------------------------------------

    def pin(self, process: Process, request: int, key: int) -> None:
        """A process wants to read an object in place."""
        entry = self.server.directory.pin(process.number, key, process.machine)
        if entry is None and self.server.directory.answers_later(key):
            self.server.connections.send(process.number, (protocol.REPLY, request, False))
            return
        if entry is None:
            # The word that it is complete may be unread in its maker's socket: look there before saying that it is lost.
            self.late_pins.append((process.number, request, key))
            return
        self._answer_pin(process.number, request, entry)

    def retry_pins(self, last: bool) -> None:
        """Answer pins that came early; with `last` no socket holds anything unread, and what is not there is lost."""
        late, self.late_pins = self.late_pins, []
        directory = self.server.directory
        for number, request, key in late:
            process = self.server.processes.get(number)
            entry = None if process is None else directory.pin(number, key, process.machine)
            if entry is None and not last:
                self.late_pins.append((number, request, key))
            else:
                self._answer_pin(number, request, entry)

    def _answer_pin(self, number: int, request: int, entry: objects.Entry | None) -> None:
        answer = None if entry is None else (entry.path or entry.offset, entry.size)
        self.server.connections.send(number, (protocol.REPLY, request, answer))
