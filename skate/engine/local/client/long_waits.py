"""Waits that last: said once in the log, with who waits for what; and reported to the node, which looks for deadlocks.

A wait that is over within a second costs nothing here.
"""

from __future__ import annotations

import itertools
import os
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from skate import exceptions
from skate.core.ref import INDEX_BITS, PENDING, REMOTE, ObjectRef, ObjectRefGenerator
from skate.core.user_line import where
from skate.engine.local import protocol
from skate.engine.local.client.running import current_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skate.engine.local.client.calls import Call
    from skate.engine.local.client.engine import LocalEngine
    from skate.engine.local.client.loop import Latch

WARN_AFTER = 10.0
"""Seconds after which a wait is mentioned, unless `_system_config={"wait_warning_seconds": …}` or SKATE_WAIT_WARNING_SECONDS."""
_REPORT_AFTER = 1.0
_MOST = 100
"""Refs of one wait that the node is told of."""
_SHOWN = 3


class _Wait(NamedTuple):
    latch: Latch
    verdict: list[str]


class LongWaits:
    """The waits of this process that have lasted for more than a moment."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine
        given = engine.settings["system"].get("wait_warning_seconds")
        self.warn_after = float(
            os.environ.get("SKATE_WAIT_WARNING_SECONDS", WARN_AFTER) if given is None else given
        )
        self._waits: dict[int, _Wait] = {}
        self._serials = itertools.count(1)

    def wait(self, latch: Latch, timeout: float | None, refs: Sequence[Any], needed: int) -> bool:
        """Wait for `needed` of the refs (or streams); False after `timeout` seconds.

        Raises:
            DeadlockError: the node has proved that the wait would last for ever.
        """
        loop = self.engine.loop
        reporter = self.engine.before_block is not None and timeout is None
        notice = min(_REPORT_AFTER, self.warn_after) if reporter else self.warn_after
        if timeout is not None and timeout <= notice:
            return loop.wait(latch, timeout)
        if loop.wait(latch, notice, loose=True) or self.engine.ended:
            return latch.left <= 0
        serial = self._report(latch, refs, needed) if reporter else 0
        try:
            left = None if timeout is None else timeout - notice
            before_warning = self.warn_after - notice
            if before_warning > 0 and (loop.wait(latch, before_warning) or self.engine.ended):
                return latch.left <= 0
            self._warn(refs, needed)
            return loop.wait(latch, left)
        finally:
            if serial:
                self._over(serial)

    # -- deadlocks ----------------------------------------

    def _report(self, latch: Latch, refs: Sequence[Any], needed: int) -> int:
        running = current_task.get()
        if running is None or (running.worker.coroutines is not None and not _in_main_thread()):
            return 0
        keys = [
            ref._key if type(ref) is ObjectRef else ref.key for ref in map(_waited, refs) if _pending(ref)
        ]
        if needed >= len(keys):
            keys = keys[:_MOST]  # all are needed: if these can't come, neither can all
            needed = len(keys)
        elif len(keys) > _MOST:
            return 0
        serial = next(self._serials)
        self._waits[serial] = _Wait(latch, [])
        actor = running.worker.actor
        about = (running.key, 0 if actor is None else actor.key, running.name, os.getpid(), where())
        self.engine.tell(protocol.LONG_WAIT, serial, tuple(keys), needed, about)
        return serial

    def _over(self, serial: int) -> None:
        found = self._waits.pop(serial)
        if not self.engine.ended:
            self.engine.tell(protocol.WAIT_OVER, serial)
        if found.verdict:
            raise exceptions.DeadlockError(found.verdict[0])

    def condemned(self, serial: int, text: str) -> None:
        """The node has proved that a wait would last for ever (with the mutex held)."""
        found = self._waits.get(serial)
        if found is not None:
            found.verdict.append(text)
            found.latch.left = 1
            found.latch(None)

    def calls(self, keys: Sequence[int]) -> dict[int, tuple[Any, ...]]:
        """What calls of this process, by key, wait for; those that have ended are left out (with the mutex held)."""
        found: dict[int, tuple[Any, ...]] = {}
        todo = list(keys)
        while todo:
            key = todo.pop() >> INDEX_BITS << INDEX_BITS
            call = self.engine.pending.get(key)
            if call is None or key in found:
                continue
            found[key] = fact = _fact(call)
            if fact[0] == "args":
                todo += fact[2]
        return found

    # -- the log ----------------------------------------

    def _warn(self, refs: Sequence[Any], needed: int) -> None:
        import logging

        with self.engine.loop.mutex:
            waiting = [ref for ref in map(_waited, refs) if _pending(ref)]
            reasons = [self._reason(ref) for ref in waiting[:_SHOWN]]
        if not waiting:
            return
        running = current_task.get()
        who = "the program" if running is None else running.name
        some = f"{needed} of " if needed < len(waiting) else ""
        what = f"{some}{len(waiting)} results" if len(waiting) > 1 else "a result"
        more = f"; and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
        logging.getLogger("skate").warning(
            "%s (pid %d) has waited for %g s for %s, at %s: %s%s. `skate stack` shows what every process does.",
            who,
            os.getpid(),
            self.warn_after,
            what,
            where(),
            "; ".join(reasons),
            more,
        )

    def _reason(self, ref: Any) -> str:
        call = ref._call if type(ref) is ObjectRef else ref.call
        if call is None:
            return f"{ref!r} is made by another process" if type(ref) is ObjectRef else "a generator"
        return f"{call.name} {_state(call)}"


def _waited(ref: Any) -> Any:
    """What is waited for: a ref, or the stream of a generator."""
    return ref._stream if type(ref) is ObjectRefGenerator else ref


def _pending(ref: Any) -> bool:
    if type(ref) is ObjectRef:
        return ref._kind in (PENDING, REMOTE)
    return not (ref.items or ref.done)


def _fact(call: Call) -> tuple[Any, ...]:
    """(kind, name, …) of what a call waits for; the kinds are those of `node.deadlock`."""
    if call.waiting_for:
        refs = [ref._key for ref in call.slots or () if ref._kind in (PENDING, REMOTE)]
        return ("args", call.name, refs[:_MOST])
    if call.actor is not None:
        group = (call.extra or {}).get("group") or call.options.concurrency_group or ""
        return ("actor", call.name, call.actor.key, group)
    if call.link is not None:
        return ("sent", call.name, call.link.worker)
    return ("lease", call.name, call.lane.number)


def _state(call: Call) -> str:
    if call.waiting_for:
        return f"waits for {call.waiting_for} of its arguments"
    if call.actor is not None:
        link = call.actor._engine_state
        if link is None or link.state != "ALIVE":
            return "waits for its actor to be ready"
        if call.key not in link.inflight:
            return "waits behind an earlier call whose arguments are not there"
        others = len(link.inflight) - 1
        beside = f", with {others:,} other call{'s' * (others > 1)} of this process" if others else ""
        return f"runs in its actor, or waits for its turn there{beside}"
    if call.link is not None:
        return "runs, or is next in its worker"
    return f"waits for a worker with {call.lane.resources}"


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
