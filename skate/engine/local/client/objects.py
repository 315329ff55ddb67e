"""Objects as one process sees them: making them, reading them, and telling the node which it holds."""

from __future__ import annotations

import errno
import os
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core import serialize
from skate.core.actor import ActorState
from skate.core.ref import BYTES, ERROR, INDEX_BITS, PENDING, REMOTE, STORED, VALUE, ObjectRef
from skate.engine.local import arena, protocol
from skate.engine.local.client.calls import NESTED
from skate.engine.local.client.loop import Latch

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.engine.local.client.engine import LocalEngine

_SHARED_FROM = 16 * 1024
"""A value that is put, and whose pickle is longer than this many bytes, goes to shared memory: whoever puts it means to pass it to many,
and to write it once costs about what it does to send as much to three."""

LOST = 10
ACTOR = 11


class Guard:
    """One count at the node; given back when the ref that carries it is gone."""

    __slots__ = ("drop", "key")

    def __init__(self, drop: Callable[[int], None], key: int) -> None:
        self.drop = drop
        self.key = key

    def __del__(self) -> None:
        self.drop(self.key)


class Sent(weakref.ref[ObjectRef[Any]]):
    """What a process keeps of a ref that it was sent. Like a guard, it gives the count back when the ref is gone.

    `key` is turned to `~key` if the ref came and went before anybody was told of it.
    """

    __slots__ = ("key",)
    key: int


class Objects:
    """The objects that this process holds refs to."""

    def __init__(self, engine: LocalEngine, arena_fd: int, arena_size: int) -> None:
        self.engine = engine
        self.arena = arena.Arena(arena_fd, arena_size)
        self.known: dict[int, weakref.ref[ObjectRef[Any]]] = {}
        """Refs that other processes may name: unpickling such a key gives the same ref again."""
        self.actors: dict[int, weakref.ref[ActorState]] = {}
        self.unresolved: set[int] = set()
        """Keys of published refs whose value is still to come from a call of ours."""
        self.wanted: dict[int, ObjectRef[Any]] = {}
        self.came: deque[Sent] = deque()
        self.gone: deque[Sent] = deque()
        """Refs that this process was sent, and those of them that it has no more."""
        self.adds: deque[int] = deque()
        self.drops: deque[int] = deque()
        """Keys that this process has one count more, or less, of; `count` turns all of these into `changes`."""
        self.unpins: deque[int] = deque()
        self.changes: dict[int, int] = {}
        self.pinned: list[Any] = []
        self._read_before: dict[int, memoryview] = {}
        self._read_now: dict[int, memoryview] = {}
        """In a worker: the stored arguments of the task before, and of the one that runs."""
        # Looked up once: `restore` runs for each of the thousands of refs that an object may hold.
        self._lost_sight = self.lost_sight

    # -- making ----------------------------------------

    def put(self, value: Any) -> ObjectRef[Any]:
        """A ref to a copy of `value`."""
        ref: ObjectRef[Any] = ObjectRef(next(self.engine.keys))
        kind = type(value)
        if kind in serialize.PLAIN and not (kind in (str, bytes) and len(value) > _SHARED_FROM):
            ref._kind = VALUE
            ref._value = value
            return ref
        packed = serialize.pack(value)
        if packed.size() > _SHARED_FROM:
            self.store(ref._key, packed)
            ref._guard = Guard(self.drop, ref._key)
            self.known[ref._key] = weakref.ref(ref)
            ref._kind = STORED
            return ref
        ref._value = packed.inline()
        if packed.nested:
            # Unpickling looks refs up by key: from now on they have names.
            self.escape(packed.nested)
            ref._guard = packed.nested
        ref._kind = BYTES
        return ref

    def store(self, key: int, packed: serialize.Packed) -> None:
        """Write a pickled value to shared memory, under `key`. This process then has one count of it.

        Raises:
            OutOfDiskError: there is no room in memory, and none on disk.
        """
        parts: list[bytes | memoryview] = [packed.data, *packed.buffers]
        starts, size = arena.layout([memoryview(part).nbytes for part in parts])
        nested = self.escape(packed.nested)
        place = self.engine.ask(protocol.ALLOC, key, size)
        if place is None:
            return  # an earlier run of the same task has stored it already
        if isinstance(place, tuple):
            raise exceptions.OutOfDiskError(
                f"an object of {size:,} bytes found no room: the store is full, and {place[0]}. Free some space there, "
                "release refs, or give init() a larger object_store_memory."
            )
        if isinstance(place, str):
            self._write_file(place, parts, starts, size)
        else:
            self.arena.write(place, size, parts, starts)
        self.engine.tell(protocol.SEAL, key, nested)

    def _write_file(self, path: str, parts: list[Any], starts: list[int], size: int) -> None:
        fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        try:
            os.ftruncate(fd, size)
            arena.write_parts(fd, 0, parts, starts)
        except OSError as error:
            os.unlink(path)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise exceptions.OutOfDiskError(
                f"an object of {size:,} bytes found no room: the store is full, and {error.strerror} on {path}. Free some "
                "space there, release refs, or give init() a larger object_store_memory."
            ) from error
        finally:
            os.close(fd)

    # -- escaping ----------------------------------------

    def escape(self, items: list[Any]) -> tuple[int, ...]:
        """Make refs (and actors) known to the node, as another process will name them. Returns their keys."""
        if not items:
            return ()
        with self.engine.loop.mutex:
            return self.escape_locked(items)

    def escape_locked(self, items: list[Any]) -> tuple[int, ...]:
        """`escape` with the mutex held."""
        keys = []
        for item in items:
            if type(item) is ActorState:
                keys.append(item.key)
                continue
            key = item._key
            keys.append(key)
            if key in self.known:
                continue
            inner: tuple[int, ...] = ()
            if type(item._guard) is list:
                inner = self.escape_locked(item._guard)
            self.publish(item, inner)
        return tuple(keys)

    def publish(self, ref: ObjectRef[Any], inner: tuple[int, ...]) -> None:
        """Tell the node of a ref that was private until now."""
        key = ref._key
        kind, value = ref._kind, ref._value
        if kind == NESTED:
            kind, (value, inner) = BYTES, value
        if kind == PENDING:
            self.unresolved.add(key)
        self.engine.node.send((protocol.PUBLISH, key, kind, None if kind == PENDING else value, inner))
        self.engine.loop.dirty.add(self.engine.node)
        guard = Guard(self.drop, key)
        ref._guard = guard if ref._guard is None else (guard, ref._guard)
        self.known[key] = weakref.ref(ref)

    def resolved(self, ref: ObjectRef[Any]) -> None:
        """A published ref has its value now: pass it on."""
        self.unresolved.discard(ref._key)
        if ref._kind == STORED:
            return  # whoever stored it told the node
        kind, value, inner = ref._kind, ref._value, ()
        if kind == NESTED:
            kind, (value, inner) = BYTES, value
        self.engine.node.send((protocol.RESOLVE, ref._key, kind, value, inner))
        self.engine.loop.dirty.add(self.engine.node)

    def adopt(self, ref: ObjectRef[Any], kind: int, value: Any) -> None:
        """Fill a ref with a result; with it come the counts that the maker announced in this process's name."""
        ref._kind = kind
        ref._value = value
        ref._call = None
        key = ref._key
        if kind == STORED:
            if key not in self.known:
                ref._guard = Guard(self.drop, key)
                self.known[key] = weakref.ref(ref)
            else:
                self.drops.append(key)  # it was published before: one count too many
        elif kind == NESTED:
            inner = [Guard(self.drop, k) for k in value[1]]
            ref._guard = inner if ref._guard is None else (ref._guard, inner)
            if type(ref._guard) is list:
                ref._guard = (inner,)
        if key in self.unresolved:
            self.resolved(ref)
        waiters = ref._waiters
        if waiters is not None:
            ref._waiters = None
            for waiter in waiters:
                waiter(ref)

    # -- coming in ----------------------------------------

    def restore(self, key: int) -> ObjectRef[Any]:
        """The ref for a key that was unpickled here.

        It takes no lock: an entry is only added where there is none, and nobody but who holds the mutex replaces or deletes one.
        """
        found = self.known.get(key)
        if found is not None:
            ref = found()
            if ref is not None:
                return ref
        ref = ObjectRef(key)
        ref._kind = REMOTE
        sent = Sent(ref, self._lost_sight)
        sent.key = key
        if self.known.setdefault(key, sent) is not sent:
            return self._restore_again(ref, sent)
        self.came.append(sent)
        return ref

    def _restore_again(self, ref: ObjectRef[Any], sent: Sent) -> ObjectRef[Any]:
        """`restore` for a key whose earlier ref is gone, or that another thread has just unpickled."""
        with self.engine.loop.mutex:
            found = self.known.get(sent.key)
            other = None if found is None else found()
            if other is not None:
                sent.key = ~sent.key  # nobody was told of this one
                return other
            self.known[sent.key] = sent
            self.came.append(sent)
            return ref

    def want(self, ref: ObjectRef[Any]) -> None:
        """Ask the node for somebody else's value (with the mutex held)."""
        if ref._key not in self.wanted:
            self.wanted[ref._key] = ref
            self.engine.node.send((protocol.WANT, ref._key))
            self.engine.loop.dirty.add(self.engine.node)

    def arrived(self, key: int, kind: int, value: Any) -> None:
        """The node's answer (with the mutex held)."""
        ref = self.wanted.pop(key, None)
        if ref is None:
            return
        if kind == LOST:
            kind = ERROR
            value = serialize.pack(exceptions.OwnerDiedError(ref.hex(), None, "")).data
        ref._kind = kind
        ref._value = value
        waiters = ref._waiters
        if waiters is not None:
            ref._waiters = None
            for waiter in waiters:
                waiter(ref)

    # -- counts ----------------------------------------

    def flush_counts(self) -> None:
        """Queue the changes of counts for the node (with the mutex held)."""
        if self.came or self.gone or self.adds or self.drops:
            self.count()
        if self.changes:
            self.engine.node.send((protocol.COUNT, list(self.changes.items())))
            self.engine.loop.dirty.add(self.engine.node)
            self.changes = {}
        unpins = self.unpins
        if unpins:
            while unpins:
                self.engine.node.send((protocol.UNPIN, unpins.popleft()))
            self.engine.loop.dirty.add(self.engine.node)

    def untold(self) -> bool:
        """Whether there are counts that the node has not been told of."""
        return bool(self.came or self.gone or self.adds or self.drops or self.changes)

    def borrowed(self) -> bool:
        """Whether refs of others are held here that the node has not been told of."""
        with self.engine.loop.mutex:
            self.count()
            return any(change > 0 for change in self.changes.values())

    def count(self) -> None:
        """Work out `changes`, and forget what nobody here has any more (with the mutex held)."""
        if self.came or self.gone:
            self._count_sent()
        adds, drops, changes = self.adds, self.drops, self.changes
        while adds:
            key = adds.popleft()
            changes[key] = changes.get(key, 0) + 1
        known, actors = self.known, self.actors
        while drops:
            key = drops.popleft()
            change = changes.get(key, 0) - 1
            if change:
                changes[key] = change
            else:
                del changes[key]
            found = known.get(key)
            if found is not None:
                if found() is None:
                    del known[key]
                    self.unresolved.discard(key)
            elif key in actors and actors[key]() is None:
                del actors[key]
                self.engine.actor_calls.forget(key)

    def _count_sent(self) -> None:
        changes, known = self.changes, self.known
        # In this order: what is gone by now had come before, whatever other threads do meanwhile.
        gone = [self.gone.popleft() for _ in range(len(self.gone))]
        came = [self.came.popleft() for _ in range(len(self.came))]
        for sent in came:
            if sent() is None:
                sent.key = ~sent.key
            else:
                changes[sent.key] = changes.get(sent.key, 0) + 1
        for sent in gone:
            key = sent.key
            if key < 0:
                key = ~key
            else:
                change = changes.get(key, 0) - 1
                if change:
                    changes[key] = change
                else:
                    del changes[key]
            if known.get(key) is sent:
                del known[key]

    # -- reading ----------------------------------------

    def value(self, ref: ObjectRef[Any]) -> Any:
        """The value of a ref that has one.

        Raises:
            Exception: the ref's error, or what unpickling raises.
        """
        kind = ref._kind
        if kind == VALUE:
            return ref._value
        if kind == ERROR:
            raise self.error(ref)
        payload = ref._value if kind == BYTES else ref._value[0] if kind == NESTED else self.read(ref._key)
        try:
            return serialize.unpack(payload)
        except Exception as error:
            raise exceptions.RaySystemError(
                f"the value of {ref!r} can't be rebuilt here: {type(error).__name__}: {error}. Is the module that defines its type "
                "importable in this process, and does its unpickling work?"
            ) from error

    def error(self, ref: ObjectRef[Any]) -> BaseException:
        """The exception that the ref holds."""
        try:
            error = serialize.unpack(ref._value)
        except Exception as failure:
            return exceptions.RaySystemError(
                f"the task's exception can't be unpickled here: {type(failure).__name__}: {failure}. Is the module that defines "
                "it importable in this process?"
            )
        if isinstance(error, exceptions.RayTaskError):
            dual: BaseException = error.as_instanceof_cause()
            return dual
        if isinstance(error, BaseException):
            return error
        return exceptions.RaySystemError(f"a task's error was {error!r}, which is no exception.")

    def read_again(self, key: int) -> list[memoryview]:
        """`read` for an argument: what the task before has read too is not asked for anew."""
        view = self._read_before.get(key)
        if view is None:
            view = self._pin(key)
        self._read_now[key] = view
        return arena.read_parts(view)

    def next_task(self) -> None:
        """A task has ended: let go of what the one before it had read and this one had not."""
        self._read_before = self._read_now
        if self._read_now:
            self._read_now = {}

    def read(self, key: int) -> list[memoryview]:
        """The parts of a stored object, in place."""
        return arena.read_parts(self._pin(key))

    def _pin(self, key: int) -> memoryview:
        place = self.engine.ask(protocol.PIN, key)
        while place is False:
            self._await_again(key)
            place = self.engine.ask(protocol.PIN, key)
        if place is None:
            raise exceptions.ObjectLostError(ObjectRef(key).hex(), None, "")
        where, size = place
        if isinstance(where, str):
            return arena.read_file(where, size, key, self._unpin)
        return self.arena.read(where, size, key, self._unpin)

    def _await_again(self, key: int) -> None:
        """Wait until an object that was lost has been made again.

        Raises:
            Exception: it can't be, as the error says.
        """
        latch = Latch(1)
        with self.engine.loop.mutex:
            known = self.known.get(key)
            ref = None if known is None else known()
            if ref is None or ref._kind not in (PENDING, REMOTE):
                ref = self.wanted.get(key)
            if ref is None:
                ref = ObjectRef(key)
                ref._kind = REMOTE
            if ref._waiters is None:
                ref._waiters = []
            ref._waiters.append(latch)
            if ref._kind == REMOTE:
                self.want(ref)
            self.engine.flush_all()
        self.engine.waits.until(latch, None)
        if ref._kind == ERROR:
            raise self.error(ref)

    def drop(self, key: int) -> None:
        """A count is given back. Called from `__del__`, anywhere: it takes no lock."""
        self.drops.append(key)
        if self.engine.loop.parked:
            self.engine.loop.nudge()

    def lost_sight(self, sent: Any) -> None:
        """A ref that was sent here is gone. Called when that happens, anywhere: it takes no lock."""
        self.gone.append(sent)
        if self.engine.loop.parked:
            self.engine.loop.nudge()

    def _unpin(self, key: int) -> None:
        self.unpins.append(key)
        if self.engine.loop.parked:
            self.engine.loop.nudge()

    def await_values(self, refs: Any, latch: Latch) -> None:
        """Have `latch` counted down once by each ref that has no value yet (with the mutex held)."""
        for ref in refs:
            kind = ref._kind
            if kind in (PENDING, REMOTE):
                if ref._waiters is None:
                    ref._waiters = [latch]
                else:
                    ref._waiters.append(latch)
                latch.left += 1
                if kind == REMOTE:
                    self.want(ref)


TASK_STEP = 1 << INDEX_BITS
