"""The refs of one process: their states, who waits for them, and the word that one is gone."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.core.ref import ERROR, PENDING, REMOTE, ObjectRef

if TYPE_CHECKING:
    from skate.core.actor import ActorState
    from skate.engine.dask.blob import Blob


class Guard:
    """Says that a ref or an actor's state is gone. It runs wherever the interpreter likes, so it only queues a word."""

    __slots__ = ("_item", "_send")

    def __init__(self, send: Callable[[tuple[Any, ...]], None], item: tuple[str, int]) -> None:
        self._send = send
        self._item = item

    def __del__(self) -> None:
        self._send(("drop", *self._item))


class Latch:
    """Opens after `left` calls, or at once on an error where that is asked for."""

    __slots__ = ("_gate", "left", "until_error")

    def __init__(self, left: int, until_error: bool = False) -> None:
        self.left = left
        self.until_error = until_error
        self._gate = threading.Event()

    def __call__(self, thing: Any) -> None:
        self.left -= 1
        if self.left <= 0 or (self.until_error and getattr(thing, "_kind", None) == ERROR):
            self._gate.set()

    def open(self) -> None:
        """Let whoever waits go on."""
        self._gate.set()

    def wait(self, timeout: float | None) -> bool:
        """Wait until it is open; False after `timeout` seconds."""
        return self._gate.wait(timeout)


class Refs:
    """Every ref and actor's state of this process, by key: one object for each, for as long as somebody has it."""

    def __init__(self, send: Callable[[tuple[Any, ...]], None]) -> None:
        self._send = send
        self.lock = threading.RLock()
        self.by_key: weakref.WeakValueDictionary[int, ObjectRef[Any]] = weakref.WeakValueDictionary()
        self.actors: weakref.WeakValueDictionary[int, ActorState] = weakref.WeakValueDictionary()

    def new(self, key: int, kind: int = PENDING) -> ObjectRef[Any]:
        """A ref that the hub is about to be told of."""
        ref: ObjectRef[Any] = ObjectRef(key)
        ref._kind = kind
        ref._guard = Guard(self._send, ("ref", key))
        self.by_key[key] = ref
        return ref

    def restore(self, key: int) -> ObjectRef[Any]:
        """The ref for a key that came in from elsewhere."""
        with self.lock:
            ref = self.by_key.get(key)
            if ref is None:
                ref = self.new(key)
                self._send(("adopt", "ref", key))
            return ref

    def guard_actor(self, state: ActorState) -> ActorState:
        """Count this process's interest in an actor."""
        state._guard = Guard(self._send, ("actor", state.key))
        self.actors[state.key] = state
        return state

    def settle(self, key: int, kind: int, blob: Blob | None) -> list[tuple[Callable[[Any], None], Any]]:
        """A ref is ready (kind REMOTE), or its value or error is here. Returns what to call, once the lock is free."""
        with self.lock:
            ref = self.by_key.get(key)
            if ref is None or ref._kind not in (PENDING, REMOTE):
                return []
            was_ready = ref._kind == REMOTE
            ref._kind, ref._value = kind, blob
            if kind == REMOTE:
                return [] if was_ready else self._take(ref, "ready")
            return self._take(ref, "ready") + self._take(ref, "value")

    @staticmethod
    def _take(ref: ObjectRef[Any], what: str) -> list[tuple[Callable[[Any], None], Any]]:
        waiters: Any = ref._waiters or []
        ref._waiters = [pair for pair in waiters if pair[0] != what]
        return [(call, ref) for name, call in waiters if name == what]

    def when(self, ref: ObjectRef[Any], what: str, call: Callable[[Any], None]) -> bool:
        """Call `call(ref)` when the ref is "ready", or its "value" is here; False if that is so already (with the lock held)."""
        if ref._kind not in (PENDING, REMOTE) or (what == "ready" and ref._kind == REMOTE):
            return False
        waiters: Any = ref._waiters
        if waiters is None:
            waiters = ref._waiters = []
        waiters.append((what, call))
        return True

    def forget(self, ref: ObjectRef[Any], call: Callable[[Any], None]) -> None:
        """Nobody waits with `call` any more (with the lock held)."""
        waiters: Any = ref._waiters
        if waiters:
            ref._waiters = [pair for pair in waiters if pair[1] is not call]
