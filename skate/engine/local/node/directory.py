"""The directory of objects that more than one process knows: what they hold, and who still wants them. Pure.

An object enters when it escapes the process that made it, or when it is made in shared memory. Every process that holds a ref has a
count here; an object that contains refs holds those; a process that reads an object in place has it pinned. When all of that is
gone, so is the object. A count can be negative for a moment, when a release overtakes, on another socket, the message that announced
the holder: an object is free only when every single count is zero, never because they add up to zero.

Instructions are appended to `out`:

    ("object", client, key)      answer a client that wanted the object
    ("probe", client, key)       ask the maker whether it has announced this object
    ("free", offset)             give shared memory back
    ("unlink", path)             delete a file
    ("gone", key, made)          nobody holds the key any more (an actor's handles are counted here too); `made` says whether
                                 somebody else than its owner had stored it: the owner may know how to make it again
    ("lost", owner, key)         its only copies were on a machine that died: have its owner make it again
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

UNKNOWN = -1
PENDING = 0
STORED = 3
ERROR = 4
LOST = 10
ACTOR = 11

OWNER_SHIFT = 64
"""The bits of a key above this are the number of the client that made it."""


class Entry:
    """One object."""

    __slots__ = (
        "containers",
        "holders",
        "kind",
        "machines",
        "nested",
        "offset",
        "path",
        "payload",
        "pins",
        "rebuilding",
        "sealed",
        "size",
        "spilling",
        "waiters",
        "writer",
    )

    def __init__(self) -> None:
        self.kind = UNKNOWN
        self.payload: Any = None
        self.nested: tuple[int, ...] = ()
        self.holders: dict[int, int] = {}
        self.containers = 0
        self.pins: dict[int, int] = {}
        self.waiters: set[int] = set()
        self.offset = -1
        self.size = 0
        self.path = ""
        self.sealed = False
        self.spilling = False
        self.writer = 0
        self.machines: set[str] = set()
        """Where it lies: on the machine of whoever stored it, and of all who have read it."""
        self.rebuilding = False
        """It was lost, and its owner has been told to make it again."""


class Directory:
    """All objects of a node."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.clients: dict[int, set[int]] = {}
        """Per client, the keys it has a count or a pin on."""
        self.in_memory: OrderedDict[int, Entry] = OrderedDict()
        """Sealed objects in shared memory, the least recently used first."""
        self.out: list[tuple[Any, ...]] = []

    # -- clients ----------------------------------------

    def client_joined(self, client: int) -> None:
        """A process has connected."""
        self.clients[client] = set()

    def client_left(self, client: int) -> None:
        """A process is gone, and with it what it held and what it would have made."""
        keys = self.clients.pop(client, set())
        for key in keys:
            entry = self.entries.get(key)
            if entry is None:
                continue
            entry.holders.pop(client, None)
            entry.pins.pop(client, None)
            entry.waiters.discard(client)
            if entry.kind == STORED and not entry.sealed and entry.writer == client:
                # Half written: whoever made the call will have it made again, or fail it.
                self._free_memory(key, entry)
                entry.kind = PENDING
            if entry.kind in (PENDING, UNKNOWN) and key >> OWNER_SHIFT not in self.clients:
                self._lose(key, entry)
            self._drop_if_free(key, entry)
        for key, entry in list(self.entries.items()):
            if key >> OWNER_SHIFT == client and entry.kind in (PENDING, UNKNOWN):
                self._lose(key, entry)
                self._drop_if_free(key, entry)

    def machine_left(self, machine: str) -> None:
        """A machine is gone, and with it what lay nowhere else. The processes on it have left before."""
        for key, entry in list(self.entries.items()):
            if entry.kind != STORED or machine not in entry.machines or self.entries.get(key) is not entry:
                continue
            entry.machines.discard(machine)
            if entry.machines:
                continue
            owner = key >> OWNER_SHIFT
            if owner not in self.clients:
                self._lose(key, entry)
                continue
            self._free_memory(key, entry)
            entry.kind = PENDING
            entry.sealed = False
            entry.rebuilding = True
            nested, entry.nested = entry.nested, ()
            self.let_go(nested)
            self.out.append(("lost", owner, key))

    def answers_later(self, key: int) -> bool:
        """Whether whoever reads the object must wait for it, or for its error, rather than find it in the store."""
        entry = self.entries.get(key)
        return entry is not None and (entry.rebuilding or entry.kind in (ERROR, LOST))

    # -- what is known of an object ----------------------------------------

    def publish(self, client: int, key: int, kind: int, payload: Any, nested: tuple[int, ...]) -> None:
        """A ref has left the process that made it: the object is known from now on, and held once by that process."""
        entry = self._entry(key)
        self._hold(client, key, entry, 1)
        if entry.kind in (UNKNOWN, PENDING):
            entry.kind = PENDING
            if kind != PENDING:
                self._fill(key, entry, kind, payload, nested)
        self._drop_if_free(key, entry)

    def resolve(self, client: int, key: int, kind: int, payload: Any, nested: tuple[int, ...]) -> None:
        """The value of a published object."""
        entry = self.entries.get(key)
        if entry is not None and entry.kind in (UNKNOWN, PENDING):
            self._fill(key, entry, kind, payload, nested)
            self._drop_if_free(key, entry)

    def create(self, client: int, key: int, offset: int, size: int, path: str, machine: str = "") -> None:
        """Room in the store has been given to `client`, which fills it and then seals it."""
        entry = self._entry(key)
        self._hold(client, key, entry, 1)
        entry.kind = STORED
        entry.writer = client
        entry.machines = {machine}
        entry.offset = offset
        entry.size = size
        entry.path = path

    def exists(self, client: int, key: int) -> bool:
        """Whether the object is there already: a task that is run again makes its result again. If so, `client` holds it."""
        entry = self.entries.get(key)
        if entry is None or entry.kind != STORED:
            return False
        self._hold(client, key, entry, 1)
        return True

    def seal(self, key: int, nested: tuple[int, ...]) -> None:
        """The object in the store is complete: it can be read."""
        entry = self.entries.get(key)
        if entry is None or entry.kind != STORED or entry.sealed:
            return
        entry.sealed = True
        entry.rebuilding = False
        if entry.offset >= 0:
            self.in_memory[key] = entry
        self._set_nested(entry, nested)
        self._wake(key, entry)
        self._drop_if_free(key, entry)

    def want(self, client: int, key: int) -> None:
        """A client waits for the object."""
        entry = self._entry(key)
        if entry.kind not in (UNKNOWN, PENDING) and (entry.kind != STORED or entry.sealed):
            self.out.append(("object", client, key))
            return
        entry.waiters.add(client)
        self.clients[client].add(key)
        if entry.kind == UNKNOWN:
            owner = key >> OWNER_SHIFT
            if owner in self.clients:
                self.out.append(("probe", owner, key))
            else:
                self._lose(key, entry)

    def probed(self, key: int) -> None:
        """Its maker has answered: had it announced the object, that would have come first."""
        entry = self.entries.get(key)
        if entry is not None and entry.kind == UNKNOWN:
            self._lose(key, entry)

    # -- counts ----------------------------------------

    def count(self, client: int, changes: list[tuple[int, int]]) -> None:
        """A process holds more or fewer refs."""
        if client not in self.clients:
            return
        for key, delta in changes:
            entry = self._entry(key)
            self._hold(client, key, entry, delta)
            self._drop_if_free(key, entry)

    def pin(self, client: int, key: int, machine: str = "") -> Entry | None:
        """A process reads the object in place. None if there is no such object any more."""
        entry = self.entries.get(key)
        if entry is None or entry.kind != STORED or not entry.sealed:
            return None
        entry.pins[client] = entry.pins.get(client, 0) + 1
        entry.machines.add(machine)
        self.clients[client].add(key)
        if key in self.in_memory:
            self.in_memory.move_to_end(key)
        return entry

    def unpin(self, client: int, key: int) -> None:
        """It has let go of what it read."""
        entry = self.entries.get(key)
        if entry is not None and client in entry.pins:
            entry.pins[client] -= 1
            if not entry.pins[client]:
                del entry.pins[client]
                self._forget_if_unheld(client, key, entry)
            self._drop_if_free(key, entry)

    def hold(self, keys: tuple[int, ...]) -> None:
        """Something outside the directory (an actor's description) contains these refs."""
        for key in keys:
            self._entry(key).containers += 1

    def let_go(self, keys: tuple[int, ...]) -> None:
        """It contains them no more."""
        for key in keys:
            entry = self.entries.get(key)
            if entry is not None:
                entry.containers -= 1
                self._drop_if_free(key, entry)

    # -- spilling ----------------------------------------

    def victims(self, size: int) -> list[tuple[int, Entry]]:
        """Objects to move to disk so that about `size` bytes become free, the least recently used first."""
        chosen = []
        total = 0
        for key, entry in self.in_memory.items():
            if total >= size:
                break
            if not entry.pins and not entry.spilling:
                chosen.append((key, entry))
                total += entry.size
        return chosen

    def spilled(self, key: int, path: str) -> bool:
        """A copy is on disk. False if it is not needed: the object is gone, or is being read in memory."""
        entry = self.entries.get(key)
        if entry is None or not entry.spilling:
            return False
        entry.spilling = False
        if entry.pins:
            return False
        self.out.append(("free", entry.offset))
        del self.in_memory[key]
        entry.offset = -1
        entry.path = path
        return True

    # -- inside ----------------------------------------

    def _entry(self, key: int) -> Entry:
        entry = self.entries.get(key)
        if entry is None:
            entry = self.entries[key] = Entry()
        return entry

    def _hold(self, client: int, key: int, entry: Entry, delta: int) -> None:
        if client not in self.clients:
            return
        count = entry.holders.get(client, 0) + delta
        if count:
            entry.holders[client] = count
            self.clients[client].add(key)
        else:
            entry.holders.pop(client, None)
            self._forget_if_unheld(client, key, entry)

    def _forget_if_unheld(self, client: int, key: int, entry: Entry) -> None:
        if client not in entry.holders and client not in entry.pins and client not in entry.waiters:
            self.clients[client].discard(key)

    def _fill(self, key: int, entry: Entry, kind: int, payload: Any, nested: tuple[int, ...]) -> None:
        entry.kind = kind
        entry.payload = payload
        entry.rebuilding = False
        self._set_nested(entry, nested)
        self._wake(key, entry)

    def _set_nested(self, entry: Entry, nested: tuple[int, ...]) -> None:
        entry.nested = nested
        for inner in nested:
            self._entry(inner).containers += 1

    def _wake(self, key: int, entry: Entry) -> None:
        waiters = entry.waiters
        if waiters:
            entry.waiters = set()
            for client in waiters:
                self.out.append(("object", client, key))
                self._forget_if_unheld(client, key, entry)

    def _lose(self, key: int, entry: Entry) -> None:
        self._free_memory(key, entry)
        entry.kind = LOST
        self._wake(key, entry)

    def _free_memory(self, key: int, entry: Entry) -> None:
        if entry.offset >= 0 and not entry.spilling:
            self.out.append(("free", entry.offset))
        elif entry.offset >= 0:
            self.out.append(("free_after_spill", key, entry.offset))
        if entry.path:
            self.out.append(("unlink", entry.path))
        entry.offset = -1
        entry.path = ""
        self.in_memory.pop(key, None)

    def _drop_if_free(self, key: int, entry: Entry) -> None:
        if entry.holders or entry.containers or entry.pins or entry.waiters:
            return
        if self.entries.get(key) is not entry:
            return
        # Iterative: a list of refs to lists of refs may be deeper than the stack.
        doomed = [(key, entry)]
        while doomed:
            key, entry = doomed.pop()
            del self.entries[key]
            self._free_memory(key, entry)
            self.out.append(("gone", key, entry.writer not in (0, key >> OWNER_SHIFT)))
            for inner_key in entry.nested:
                inner = self.entries.get(inner_key)
                if inner is None:
                    continue
                inner.containers -= 1
                if not (inner.holders or inner.containers or inner.pins or inner.waiters):
                    doomed.append((inner_key, inner))
