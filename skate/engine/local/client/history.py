"""What has become of the calls that this process made: a bounded ring of plain tuples, read only when somebody asks.

Nothing is sent while calls are made. The node asks for a report when a user does; a worker also hands over what it has when it has
been idle for a moment, as it may be ended without a word.
"""

from __future__ import annotations

import gc
import itertools
import marshal
import os
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any

from skate.core import serialize
from skate.core.actor import ActorState
from skate.core.failure import story
from skate.core.ref import BYTES, ERROR, PENDING, REMOTE, VALUE, ObjectRef
from skate.engine.local import protocol
from skate.engine.local.client.calls import NESTED, Call

if TYPE_CHECKING:
    from skate.engine.local.client.engine import LocalEngine

LIMIT = 100_000
"""Ended calls that one process remembers, unless `_system_config={"task_history": …}` says otherwise."""
_FAILURES = 1000
_FAILURE_BYTES = 16 << 20
_SPANS = 10_000


class History:
    """The ended calls of one process, and its reports."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine
        self.limit = int(engine.settings["system"].get("task_history", LIMIT))
        self.ended: deque[tuple[Any, ...]] = deque(maxlen=self.limit)
        """(key, attempt, name, extra, parent, created, place, worker, started, microseconds) of each attempt that ended.

        The place is the shape of a lane, or the negative of an actor's key; the microseconds of a failure are inverted. The
        loops that read results append here themselves.
        """
        self.spans: deque[tuple[Any, ...]] = deque(maxlen=_SPANS)
        """(event, task, started, ended, extra) of each `profile` block."""
        self._failures: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._failure_bytes = 0

    def end(self, call: Call, place: int, worker: int, started: float, micros: int) -> None:
        """A call with several results has ended (with the engine's mutex held)."""
        about = (call.key, call.attempts, call.name, call.extra, call.parent, call.created, place)
        self.ended.append((*about, worker, started, micros))

    def failed(self, call: Call, payload: Any) -> None:
        """A call ends with an error of ours: it was lost, cancelled, or never ran (with the engine's mutex held)."""
        if not call.name:
            return
        if call.actor is not None:
            place = -call.actor.key
        else:
            place = call.lane.shape if call.lane is not None else 0
        worker = 0 if call.link is None else call.link.worker
        self.keep_failure(call, payload)
        self.end(call, place, worker, 0.0, -1)

    def keep_failure(self, call: Call, payload: Any) -> None:
        """Keep what went wrong, for a while."""
        # Pickled still: rebuilding users' exceptions is left until somebody asks.
        self._failures[call.key, call.attempts] = payload
        self._failure_bytes += _size(payload)
        while len(self._failures) > _FAILURES or self._failure_bytes > _FAILURE_BYTES:
            self._failure_bytes -= _size(self._failures.popitem(last=False)[1])

    # -- reports ----------------------------------------

    def hand_over(self) -> None:
        """Give the node what has ended, as this process may be gone before anybody asks."""
        if self.ended or self.spans:
            with self.engine.loop.mutex:
                count = len(self.ended)
                payload = marshal.dumps(self._tasks(), 2)
                self.ended.clear()
                self.spans.clear()
                self._failures.clear()
                self._failure_bytes = 0
                self.engine.node.send((protocol.HISTORY, count, payload))
                self.engine.loop.flush(self.engine.node)

    def report(self, what: str, asked: Any) -> Any:
        """What the node asks for, made of what marshal can write (with the mutex held)."""
        if what == "tasks":
            return {**self._tasks(), "pending": self._pending(), "running": self._running()}
        if what == "objects":
            return {"objects": self._objects()}
        if what == "stacks":
            from skate.engine.local.client.stacks import stacks

            return {
                "stacks": stacks(self.engine),
                "lanes": self._lanes(),
                "pending": self._pending(200),
                "running": self._running(),
            }
        if what == "calls":
            return self.engine.long_waits.calls(asked)
        raise ValueError(f"unknown question {what!r}")

    def _tasks(self) -> dict[str, Any]:
        failures = [(*which, *_story(payload)) for which, payload in self._failures.items()]
        return {
            "number": self.engine.number,
            "pid": os.getpid(),
            "wall": time.time() - time.monotonic(),
            "lanes": self._lanes(),
            "ended": list(self.ended),
            "failures": failures,
            "spans": list(self.spans),
        }

    def _lanes(self) -> list[tuple[dict[str, float], str]]:
        return list(self.engine.lanes.shapes.values())

    def _pending(self, most: int | None = None) -> list[tuple[Any, ...]]:
        return [self._describe(call) for call in itertools.islice(self.engine.pending.values(), most)]

    def _describe(self, call: Call) -> tuple[Any, ...]:
        """(key, attempt, name, extra, parent, created, place, worker, state, refs it waits for) of a call under way."""
        actor = call.actor
        waits: list[str] = []
        worker = 0
        if call.waiting_for:
            state = "PENDING_ARGS_AVAIL"
            waits = [r.hex() for r in call.slots or () if r._kind in (PENDING, REMOTE)][:5]
        elif actor is not None:
            link = actor._engine_state
            worker = link.worker if link is not None else 0
            sent = link is not None and call.key in link.inflight
            state = "PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY" if sent else "PENDING_NODE_ASSIGNMENT"
        elif call.link is not None:
            state = "SUBMITTED_TO_WORKER"
            worker = call.link.worker
        else:
            state = "PENDING_NODE_ASSIGNMENT"
        place = (
            call.lane.shape if actor is None and call.lane is not None else 0 if actor is None else -actor.key
        )
        about = (call.key, call.attempts, call.name, call.extra, call.parent, call.created, place)
        return (*about, worker, state, waits)

    def _running(self) -> list[tuple[int, float, str]]:
        """(key, started, "get" if it waits there) of what runs in this process."""
        return self.engine.running_now()

    def _objects(self) -> list[tuple[Any, ...]]:
        """(key, size, state, reference type, pid, whether this is the driver) of every ref and handle in this process."""
        pid = os.getpid()
        used = {
            ref._key for call in self.engine.pending.values() for ref in call.slots or () if ref is not None
        }
        found = []
        for thing in gc.get_objects():
            kind = type(thing)
            if kind is ObjectRef:
                if thing.is_nil():
                    continue
                size = _size(thing._value) if thing._kind in (VALUE, BYTES, ERROR, NESTED) else -1
                pending = thing._kind in (PENDING, REMOTE)
                call = thing._call
                if type(call) is Call and call.key in self.engine.pending:
                    state = self._describe(call)[8]
                elif thing._kind == ERROR:
                    state = "FAILED"
                else:
                    state = "NIL" if pending else "FINISHED"
                type_ = "USED_BY_PENDING_TASK" if thing._key in used else "LOCAL_REFERENCE"
                found.append((thing._key, size, state, type_, pid))
            elif kind is ActorState:
                found.append((thing.key, 0, "NIL", "ACTOR_HANDLE", pid))
        return found


def _size(value: Any) -> int:
    kind = type(value)
    if kind is tuple:
        return sum(_size(part) for part in value)
    if kind in (bytes, str):
        return len(value)
    return 0 if value is None else 8


def _story(payload: Any) -> tuple[str, str]:
    """The type of error, in Ray's words, and what it says."""
    try:
        return story(serialize.unpack(payload))
    except Exception as failure:
        return "TASK_EXECUTION_EXCEPTION", f"its exception can't be rebuilt here: {failure}"
