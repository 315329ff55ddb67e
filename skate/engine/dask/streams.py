"""Generators as their caller sees them: items as they are announced, and the end once all of them are here."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.core.ref import BYTES, ERROR, REMOTE, ObjectRef, Stream
from skate.engine.dask.blob import Blob, blob_of
from skate.engine.dask.refs import Latch

if TYPE_CHECKING:
    from skate.engine.dask.engine import DaskEngine


class Streams:
    """The generators that this process has called."""

    def __init__(self, engine: DaskEngine) -> None:
        self._engine = engine
        self._open: weakref.WeakValueDictionary[int, Stream] = weakref.WeakValueDictionary()
        self._ends: dict[int, tuple[int, Blob | None]] = {}
        """Streams that have ended, though not all of their items are here: how many there are, and an error."""
        self._bounded: set[int] = set()

    def open(self, key: int, ref: ObjectRef[Any], bounded: bool) -> Stream:
        """A generator has been called. `bounded`: the producer waits to hear what was taken."""
        stream = self._open[key] = Stream(key, ref)
        if bounded:
            self._bounded.add(key)
        return stream

    def item(self, key: int, index: int) -> None:
        """The item of that index can be had. After a task ran again, items may come twice."""
        engine = self._engine
        with engine.refs.lock:
            stream = self._open.get(key)
            if stream is None or index != stream.produced:
                engine.send(("drop", "ref", key + index + 1))
                # Nobody will take it: its worker is not to wait for that.
                if stream is not None and key in self._bounded:
                    engine.send(("taken", key, stream.consumed))
                return
            stream.items.append(engine.refs.new(key + index + 1, REMOTE))
            stream.produced += 1
            end = self._ends.get(key)
            if end is not None and stream.produced >= end[0]:
                self._finish(stream, end[1])
            waiters = stream.changed()
        for waiter in waiters:
            waiter(stream)

    def ended(self, key: int, blob: Blob) -> bool:
        """The task has ended: `blob` says how many items it made, or why there are no more. False if it is no generator."""
        engine = self._engine
        with engine.refs.lock:
            stream = self._open.get(key)
            if stream is None or stream.done:
                return stream is not None
            if blob.kind == ERROR:
                self._finish(stream, blob)
            else:
                total, error = blob.value()
                if stream.produced < total:
                    self._ends[key] = (total, error)
                    return True
                self._finish(stream, error)
            waiters = stream.changed()
        for waiter in waiters:
            waiter(stream)
        return True

    def _finish(self, stream: Stream, error: Blob | None) -> None:
        self._ends.pop(stream.key, None)
        self._bounded.discard(stream.key)
        if error is not None:
            stream.items.append(self._engine.submit.output(stream.key + stream.produced + 1, error))
            stream.produced += 1
        # The ref of the whole task is only about its end: an error is the last item.
        stream.done = True
        self._engine._run(self._engine.refs.settle(stream.key, BYTES, blob_of(None)))

    def end_all(self, blob: Blob) -> None:
        """The session has ended."""
        for key in list(self._open):
            self.ended(key, blob)

    def wait(self, stream: Stream, timeout: float | None) -> bool:
        """Wait until there is an item or the end; False after `timeout` seconds."""
        engine = self._engine
        latch = Latch(1)
        with engine.refs.lock:
            if stream.items or stream.done:
                return True
            stream.waiters.append(latch)
        try:
            engine.waits.wait_on(latch, timeout, [stream])
        finally:
            with engine.refs.lock:
                if latch in stream.waiters:
                    stream.waiters.remove(latch)
        return bool(stream.items or stream.done)

    def take(self, stream: Stream) -> ObjectRef[Any] | None:
        """The next item; None at the end."""
        engine = self._engine
        with engine.refs.lock:
            if not stream.items:
                return None
            ref = stream.items.popleft()
            stream.consumed += 1
            if stream.key in self._bounded:
                engine.send(("taken", stream.key, stream.consumed))
        return ref

    def when(self, stream: Stream, callback: Callable[[Stream], None]) -> None:
        """Call `callback(stream)` once there is an item or the end."""
        with self._engine.refs.lock:
            waits = not (stream.items or stream.done)
            if waits:
                stream.waiters.append(callback)
        if not waits:
            callback(stream)
