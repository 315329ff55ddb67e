"""Lineage: how to make objects again that were lost with their machine. All with the engine's mutex held.

The process that called a task, or a method of an actor with max_task_retries, keeps what it takes to run it again for as long as
somebody holds a stored result of it, or may need it to make another object again. The values of its stored arguments are not kept: if
they are gone too, they are made again first. A session with one machine keeps nothing, as there nothing can be lost: its shared memory
lives as long as the session.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core.ref import ERROR, INDEX_BITS, PENDING, REMOTE, STORED, ObjectRef
from skate.engine.local.client.calls import Call, dump_error

if TYPE_CHECKING:
    from skate.engine.local.client.engine import LocalEngine

_MOST = 100_000
"""Tasks that are remembered; of more, the oldest are forgotten."""


class Record:
    """A task that has ended, and how to run it again."""

    __slots__ = (
        "actor",
        "call",
        "kept",
        "needed_by",
        "rebuilt",
        "returns",
        "slots",
        "stored",
        "streams",
        "tries",
    )

    def __init__(self, call: Call) -> None:
        self.call = _again(call)
        """As it was sent, without refs to its results and its arguments."""
        self.actor = None if call.actor is None else weakref.ref(call.actor)
        """Whose method it is; a result keeps no actor alive."""
        self.streams = call.stream is not None
        self.tries = call.retries
        """How often it may be run again; below 0 without end."""
        self.returns = None if call.refs is None else len(call.refs)
        """How many results it has, if it has several."""
        self.stored: set[int] = set()
        """Its results in the store that somebody holds."""
        self.needed_by = 0
        """Records whose arguments its results are."""
        self.slots: list[tuple[int, ObjectRef[Any] | None]] = []
        """Its arguments that are refs: (key, None) of a stored one, and the ref itself of one with a small value."""
        self.rebuilt: dict[int, ObjectRef[Any]] | None = None
        """While it runs again: what is to be made."""


class Lineage:
    """What this process can make again."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine
        self.on = False
        """Whether objects can be lost at all."""
        self.records: dict[int, Record] = {}
        self._evicted: set[int] = set()

    # -- remembering ----------------------------------------

    def ended(self, call: Call, results: list[tuple[int, int]], error: Any) -> None:
        """A call has these results: (key, kind)."""
        record = self.records.get(call.key)
        stored = [key for key, kind in results if kind == STORED]
        if record is None:
            if stored and _repeatable(call):
                self._keep(call).stored.update(stored)
            return
        record.stored.update(stored)
        if record.rebuilt is None:
            return
        made, record.rebuilt = record.rebuilt, None
        if record.streams and results[0][1] == ERROR:
            for ref in made.values():
                self._settle(ref, error)
        elif record.streams:
            text = "the generator yielded fewer items when it was run again."
            for key, ref in made.items():
                self._settle(
                    ref, dump_error(_failed(key, "GENERATOR_TASK_FAILED_FOR_OBJECT_RECONSTRUCTION", text))
                )

    def item(self, call: Call, index: int, kind: int, value: Any) -> bool:
        """A generator has yielded. True if it runs again, so that the item is nobody's news."""
        key = call.key + index + 1
        record = self.records.get(call.key)
        if record is None or record.rebuilt is None:
            if kind == STORED and _repeatable(call):
                (record or self._keep(call)).stored.add(key)
            return False
        ref = record.rebuilt.pop(key, None)
        if ref is not None:
            self.engine.objects.adopt(ref, kind, value)
        elif kind == STORED:
            self.engine.objects.drops.append(key)  # the count that came with an item that nobody misses
        return True

    def _keep(self, call: Call) -> Record:
        record = Record(call)
        for ref in call.slots or ():
            if ref._kind in (STORED, PENDING):  # pending again, if it has been lost since
                record.slots.append((ref._key, None))
                needed = self.records.get(ref._key >> INDEX_BITS << INDEX_BITS)
                if needed is not None:
                    needed.needed_by += 1
            else:
                record.slots.append((ref._key, ref))
        self.records[call.key] = record
        if len(self.records) > _MOST:
            oldest = next(iter(self.records))
            self._drop(oldest)
            self._evicted.add(oldest)
        return record

    def forget(self, key: int) -> None:
        """Nobody holds that object any more."""
        number = key >> INDEX_BITS << INDEX_BITS
        record = self.records.get(number)
        if record is not None:
            record.stored.discard(key)
            self._drop_if_useless(number, record)
        self._evicted.discard(number)

    def _drop_if_useless(self, number: int, record: Record) -> None:
        if not record.stored and not record.needed_by and record.rebuilt is None:
            self._drop(number)

    def _drop(self, number: int) -> None:
        doomed = [number]
        while doomed:
            record = self.records.pop(doomed.pop())
            for key, ref in record.slots:
                above = key >> INDEX_BITS << INDEX_BITS
                needed = self.records.get(above) if ref is None else None
                if needed is not None:
                    needed.needed_by -= 1
                    if not needed.stored and not needed.needed_by and needed.rebuilt is None:
                        doomed.append(above)

    # -- making again ----------------------------------------

    def lost(self, key: int) -> None:
        """An object of ours is gone with its machine."""
        ref = self._found(key)
        self._make_again(key, ObjectRef(key) if ref is None else ref)

    def _found(self, key: int) -> ObjectRef[Any] | None:
        """The ref of an object here: one that somebody holds, or one that is being filled again already."""
        known = self.engine.objects.known.get(key)
        ref = None if known is None else known()
        record = self.records.get(key >> INDEX_BITS << INDEX_BITS)
        if ref is None and record is not None and record.rebuilt is not None:
            return record.rebuilt.get(key)
        return ref

    def _make_again(self, key: int, ref: ObjectRef[Any]) -> None:
        number = key >> INDEX_BITS << INDEX_BITS
        record = self.records.get(number)
        ref._kind = PENDING
        ref._value = None
        self.engine.objects.unresolved.add(key)
        if record is None:
            evicted = number in self._evicted
            reason = "LINEAGE_EVICTED" if evicted else "RETRIES_DISABLED"
            text = "what it takes to run its task again has been forgotten, to save memory."
            if not evicted:
                text = (
                    "it was put, or made by a method of an actor: only what a task made can be made again, or a method of an actor "
                    "with max_task_retries."
                )
            self._settle(ref, dump_error(_failed(key, reason, text)))
            return
        if record.rebuilt is not None:
            if record.rebuilt.setdefault(key, ref) is not ref:
                ref._kind = (
                    REMOTE  # another ref of it is being filled: this one hears of that by way of the node
                )
                if ref._waiters:
                    self.engine.objects.want(ref)
                return
            call = ref._call = self.engine.pending.get(number)
            if call is not None and call.refs is not None:
                call.refs[key - number] = ref
            return
        if record.tries == 0:
            self._settle(ref, dump_error(_exhausted(key, record)))
            return
        if record.actor is not None and record.actor() is None:
            text = "a method of an actor made it, and the actor has ended, as nobody held a handle to it any more."
            self._settle(ref, dump_error(_failed(key, "RETRIES_DISABLED", text)))
            return
        record.tries -= 1
        record.rebuilt = {key: ref}
        self._run(number, record)

    def _run(self, number: int, record: Record) -> None:
        """Send a task again, once what it needs is there."""
        call = _again(record.call)
        call.attempts = 1
        call.retries = record.tries
        assert record.rebuilt is not None
        if record.returns is not None:
            call.refs = [
                record.rebuilt.get(number + i) or ObjectRef(number + i) for i in range(record.returns)
            ]
        elif not record.streams:
            call.ref = record.rebuilt[number]
        for ref in record.rebuilt.values():
            ref._call = call
        call.actor = None if record.actor is None else record.actor()
        if call.actor is not None:
            self.engine.actor_calls.link(call.actor)
        self.engine.pending[number] = call
        if record.slots:
            call.slots = [self._argument(key, ref) for key, ref in record.slots]
        ready = self.engine.submit._ready(call)
        if call.actor is None:
            if ready:
                self.engine.lanes.add(call)
        elif ready or (call.actor.meta.ordered and call.waiting_for):
            self.engine.actor_calls.add(call.actor._engine_state, call)
        self.engine.loop.nudge()  # perhaps nobody waits for anything now

    def _argument(self, key: int, ref: ObjectRef[Any] | None) -> ObjectRef[Any]:
        if ref is not None:
            return ref
        ref = self._found(key)
        if ref is None:
            # Nobody here holds it any more, and so perhaps nobody anywhere: it is made again before.
            ref = ObjectRef(key)
            self._make_again(key, ref)
        return ref

    def _settle(self, ref: ObjectRef[Any], error: Any) -> None:
        """Tell an error to whoever waits for the object, here and elsewhere."""
        if ref._kind == PENDING:
            self.engine.objects.adopt(ref, ERROR, error)


def _again(call: Call) -> Call:
    """The same call, that has no refs yet."""
    again = Call(call.key, call.spec, call.options, call.flag, call.args)
    again.extra, again.lane, again.name, again.parent = call.extra, call.lane, call.name, call.parent
    again.held = call.held
    return again


def _repeatable(call: Call) -> bool:
    """Whether a call's results are made again when they are lost: a method may have changed its actor, and says so by its retries."""
    return call.actor is None or call.retries != 0


def _exhausted(key: int, record: Record) -> exceptions.ObjectReconstructionFailedError:
    if record.actor is not None:
        text = "its method has been called again as often as max_task_retries allows."
        return _failed(key, "MAX_ATTEMPTS_EXCEEDED", text)
    most = record.call.options.max_retries
    if most == 0:
        text = "its task was created with max_retries=0. Give it retries with @skate.remote(max_retries=N)."
        return _failed(key, "RETRIES_DISABLED", text)
    text = f"its task has been run again as often as max_retries={most} allows."
    return _failed(key, "MAX_ATTEMPTS_EXCEEDED", text)


def _failed(key: int, reason: str, text: str) -> exceptions.ObjectReconstructionFailedError:
    code = reason if reason.startswith("GENERATOR") else f"OBJECT_UNRECONSTRUCTABLE_{reason}"
    return exceptions.ObjectReconstructionFailedError(ObjectRef(key).hex(), code, text)


__all__ = ["Lineage"]
