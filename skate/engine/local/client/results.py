"""Results: what becomes of a call when its worker answers, raises or dies. All with the engine's mutex held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core import serialize
from skate.core.ref import ERROR, VALUE, ObjectRef, Stream
from skate.engine.local.client.calls import Call, dump_error

if TYPE_CHECKING:
    from skate.engine.local.client.engine import LocalEngine


def _crash(why: str, text: str) -> exceptions.RayError:
    if why == "node":
        return exceptions.NodeDiedError(text)
    if why == "memory":
        return exceptions.OutOfMemoryError(text)
    return exceptions.WorkerCrashedError(text)


class Results:
    """Ends calls, or has them made again."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine

    def fail_all(self) -> None:
        """Fail every call and request under way (with the mutex held)."""
        error = dump_error(exceptions.RaySystemError(f"the session has ended: {self.engine.ended}"))
        for call in list(self.engine.pending.values()):
            self.fail(call, error)
        for ref in list(self.engine.objects.wanted.values()):
            self.engine.objects.arrived(ref._key, ERROR, error)
        for latch, _answer in list(self.engine.requests.values()):
            latch(None)

    def finish(self, call: Call, kind: int, value: Any) -> None:
        """A result has come (with the mutex held)."""
        if kind == ERROR and call.retries and call.options.retry_exceptions and not call.cancelled:
            if call.options.retry_exceptions is True:
                self._retry(call)
            else:
                # Which exception it is must be unpickled: the user's code, for which the mutex has to be free.
                self.engine.loop.deferred.append((self._retry_or_finish, (call, value)))
            return
        self.engine.pending.pop(call.key, None)
        if self.engine.lineage.on:
            self.engine.lineage.ended(call, [(call.key, kind)], value)
        stream = call.stream
        if stream is not None:
            self.end_stream(stream, kind, value)
            kind, value = VALUE, None  # an error is told once: as the last item
        elif call.refs is not None:
            if kind == ERROR:
                for ref in call.refs:
                    self.engine.objects.adopt(ref, kind, value)
            return
        if call.ref is not None:
            self.engine.objects.adopt(call.ref, kind, value)

    def finish_many(self, call: Call, results: list[tuple[int, Any]]) -> None:
        """The results of a call with several (with the mutex held)."""
        self.engine.pending.pop(call.key, None)
        if self.engine.lineage.on:
            self.engine.lineage.ended(call, [(call.key + i, each[0]) for i, each in enumerate(results)], None)
        for ref, (kind, value) in zip(call.refs or (), results, strict=True):
            self.engine.objects.adopt(ref, kind, value)

    def fail(self, call: Call, error: Any) -> None:
        """End a call with an error of ours (with the mutex held)."""
        call.retries = 0
        self.engine.history.failed(call, error)
        self.finish(call, ERROR, error)

    def _should_retry(self, call: Call, value: Any) -> bool:
        try:
            error = serialize.unpack(value)
        except Exception:
            return False  # no class that the options could name
        return isinstance(getattr(error, "cause", None), call.options.retry_exceptions)

    def _retry_or_finish(self, given: tuple[Call, Any]) -> None:
        """A call with a list of exceptions to be retried has raised one (without the mutex)."""
        call, value = given
        wanted = self._should_retry(call, value)
        with self.engine.loop.mutex:
            if call.key not in self.engine.pending:
                return  # the session has ended meanwhile
            if wanted and not call.cancelled:
                self._retry(call)
            else:
                call.retries = 0
                self.finish(call, ERROR, value)
            self.engine.flush_all()

    def _retry(self, call: Call) -> None:
        call.retries -= 1
        call.attempts += 1
        call.link = None
        if call.actor is not None:
            self.engine.actor_calls.retry(call)
        else:
            call.lane.backlog.append(call)
            self.engine.lanes.dirty.add(call.lane)

    def task_lost(self, call: Call, cause: str, why: str) -> None:
        """The worker that had the task is dead (with the mutex held)."""
        if call.cancelled:
            self.fail(
                call, dump_error(exceptions.TaskCancelledError(call.ref.task_id() if call.ref else None))
            )
        elif call.retries == 0:
            text = f"Task {call.name} did not end: {cause}."
            if call.attempts:
                text += f" It had been tried {call.attempts + 1} times."
            self.fail(call, dump_error(_crash(why, text)))
        else:
            error = dump_error(exceptions.WorkerCrashedError(f"Task {call.name} did not end: {cause}."))
            self.engine.history.failed(call, error)
            call.retries -= 1
            call.attempts += 1
            call.link = None
            call.lane.backlog.appendleft(call)

    def item(self, call: Call, index: int, kind: int, value: Any) -> None:
        """A generator has yielded (with the mutex held)."""
        if self.engine.lineage.on and self.engine.lineage.item(call, index, kind, value):
            self.engine.streams.not_taken(call, index)
            return
        stream = call.stream
        if stream is None or index < stream.produced:
            self.engine.streams.not_taken(call, index)
            return
        stream.produced = index + 1
        ref: ObjectRef[Any] = ObjectRef(call.key + index + 1)
        self.engine.objects.adopt(ref, kind, value)
        stream.items.append(ref)
        for callback in stream.changed():
            callback(stream)

    def end_stream(self, stream: Stream, kind: int, value: Any) -> None:
        if kind == ERROR:
            ref: ObjectRef[Any] = ObjectRef(stream.key + stream.produced + 1)
            ref._kind, ref._value = ERROR, value
            stream.items.append(ref)
        stream.done = True
        stream.call = None
        for callback in stream.changed():
            callback(stream)
