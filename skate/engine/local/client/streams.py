"""Generators, as the process that called them takes their items."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.engine.local import protocol
from skate.engine.local.client.loop import Latch

if TYPE_CHECKING:
    from skate.core.ref import ObjectRef, Stream
    from skate.engine.local.client.calls import Call
    from skate.engine.local.client.engine import LocalEngine


class Streams:
    """The generators that this process has called."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine

    def wait(self, stream: Stream, timeout: float | None) -> bool:
        latch = Latch(0)
        with self.engine.loop.mutex:
            if stream.items or stream.done:
                return True
            latch.left = 1
            stream.waiters.append(latch)
        return self.engine.waits.until(latch, timeout, (stream,), 1)

    def take(self, stream: Stream) -> ObjectRef[Any] | None:
        with self.engine.loop.mutex:
            if not stream.items:
                return None
            ref = stream.items.popleft()
            stream.consumed += 1
            if stream.call is not None and _is_held_back(stream.call):
                self.to_worker(stream.call, (protocol.TAKEN, stream.call.key, stream.consumed))
            return ref

    def not_taken(self, call: Call, index: int) -> None:
        """An item came that nobody will take, since the task runs again: its worker is not to wait for that."""
        if _is_held_back(call):
            # What an earlier run made and nobody has taken yet counts as before; what is made anew for lineage's sake nobody takes.
            taken = index + 1 if call.stream is None else call.stream.consumed
            self.to_worker(call, (protocol.TAKEN, call.key, taken))

    def watch(self, stream: Stream, callback: Callable[[Stream], None]) -> None:
        with self.engine.loop.mutex:
            ready = bool(stream.items or stream.done)
            if not ready:
                stream.waiters.append(lambda s: self.engine.loop.deferred.append((callback, s)))
        if ready:
            callback(stream)

    def drop(self, stream: Stream) -> None:
        call = stream.call
        if call is not None and not self.engine.ended:
            self.engine.loop.deferred.append((self._drop_stream, call))

    def _drop_stream(self, call: Call) -> None:
        with self.engine.loop.mutex:
            self.to_worker(call, (protocol.DROP, call.key))

    def to_worker(self, call: Call, message: tuple[Any, ...]) -> bool:
        conn = None
        if call.actor is not None:
            link = call.actor._engine_state
            if call.key in link.inflight:
                conn = link.conn
        elif call.link is not None:
            conn = call.link.conn
        if conn is None or conn.closed:
            return False
        conn.send(message)
        self.engine.loop.flush(conn)
        return True


def _is_held_back(call: Call) -> bool:
    """Whether its worker makes only so many items that have not been taken."""
    return bool(call.options.generator_backpressure or (call.extra or {}).get("backpressure"))
