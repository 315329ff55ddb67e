"""Waiting for values: get, wait, callbacks and futures."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core.ref import ERROR, PENDING, REMOTE, ObjectRef
from skate.engine.dask import long_waits
from skate.engine.dask.blob import raised
from skate.engine.dask.refs import Latch

if TYPE_CHECKING:
    import asyncio

    from skate.engine.dask.engine import DaskEngine

_PATIENCE = 0.002  # seconds that a task waits before its CPU is offered to others


class Waits:
    """What waits in one process."""

    def __init__(self, engine: DaskEngine) -> None:
        self.engine = engine
        self._awaited: dict[object, ObjectRef[Any]] = {}
        self._callbacks: queue.SimpleQueue[Any] | None = None
        self._callback_thread: threading.Thread | None = None

    def end(self) -> None:
        """There will be no more callbacks."""
        if self._callbacks is not None:
            self._callbacks.put(None)

    def value(self, ref: ObjectRef[Any]) -> Any:
        """The value of a ref that is here.

        Raises:
            Exception: the ref's error.
        """
        if ref._kind == ERROR:
            raise raised(ref._value)
        try:
            return ref._value.value()
        except Exception as error:
            raise exceptions.RaySystemError(
                f"the value of {ref!r} can't be rebuilt here: {type(error).__name__}: {error}. Is the module that defines its type "
                "importable in this process, and does its unpickling work?"
            ) from error

    def wait_on(self, latch: Latch, timeout: float | None, things: Sequence[Any]) -> bool:
        """Wait for refs and generators, and let others have our CPU meanwhile."""
        if latch.wait(0):
            return True
        if timeout is not None and timeout <= _PATIENCE:
            return latch.wait(timeout)
        if self.engine.before_block is None:
            return self._wait_long(latch, timeout, things)
        started = time.monotonic()
        if latch.wait(_PATIENCE):
            return True
        token = self.engine.before_block()
        try:
            left = None if timeout is None else max(0.0, timeout - (time.monotonic() - started))
            return self._wait_long(latch, left, things)
        finally:
            self.engine.after_block(token)

    def _wait_long(self, latch: Latch, timeout: float | None, things: Sequence[Any]) -> bool:
        notice = long_waits.warn_after(self.engine)
        if timeout is not None and timeout <= notice:
            return latch.wait(timeout)
        if latch.wait(notice):
            return True
        if not self.engine.ended:
            long_waits.warn(self.engine, notice, things)
        return latch.wait(None if timeout is None else timeout - notice)

    def get(self, refs: Sequence[ObjectRef[Any]], timeout: float | None) -> list[Any]:
        latch = Latch(0, until_error=True)
        waiting: list[ObjectRef[Any]] = []
        with self.engine.refs.lock:
            if not any(ref._kind == ERROR for ref in refs):
                for ref in dict.fromkeys(refs):
                    if self.engine.refs.when(ref, "value", latch):
                        waiting.append(ref)
            latch.left = len(waiting)
        if waiting:
            self.engine.send(("want", [ref._key for ref in waiting]))
            try:
                # What is ready already is only fetched: that is not what a timeout is about.
                patience = (
                    max(timeout, 5.0)
                    if timeout is not None and all(r._kind != PENDING for r in waiting)
                    else timeout
                )
                self.wait_on(latch, patience, waiting)
            finally:
                with self.engine.refs.lock:
                    for ref in waiting:
                        self.engine.refs.forget(ref, latch)
        for ref in refs:
            if ref._kind == ERROR:
                return [self.value(ref)]
        missing = [ref for ref in refs if ref._kind in (PENDING, REMOTE)]
        if missing:
            raise exceptions.GetTimeoutError(
                f"Get timed out: some object(s) not ready. {len(missing)} of {len(refs)} are missing after {timeout} s; the first is "
                f"{missing[0]!r}. Wait longer, or look at skate.wait()."
            )
        return [self.value(ref) for ref in refs]

    def wait(
        self, refs: Sequence[Any], num_returns: int, timeout: float | None
    ) -> tuple[list[Any], list[Any]]:
        def ready(thing: Any) -> bool:
            if type(thing) is ObjectRef:
                return thing._kind != PENDING
            return bool(thing._stream.items or thing._stream.done)

        latch = Latch(0)
        waiting: list[Any] = []
        with self.engine.refs.lock:
            done = sum(1 for thing in refs if ready(thing))
            if done < num_returns:
                for thing in refs:
                    if ready(thing):
                        continue
                    waiting.append(thing)
                    if type(thing) is ObjectRef:
                        self.engine.refs.when(thing, "ready", latch)
                    else:
                        thing._stream.waiters.append(latch)
                latch.left = num_returns - done
        if waiting:
            try:
                self.wait_on(latch, timeout, waiting)
            finally:
                with self.engine.refs.lock:
                    for thing in waiting:
                        if type(thing) is ObjectRef:
                            self.engine.refs.forget(thing, latch)
                        elif latch in thing._stream.waiters:
                            thing._stream.waiters.remove(latch)
        found: list[Any] = []
        rest: list[Any] = []
        for thing in refs:
            (found if len(found) < num_returns and ready(thing) else rest).append(thing)
        return found, rest

    def on_done(self, ref: ObjectRef[Any], callback: Callable[[ObjectRef[Any]], None]) -> None:
        # The user's code must not hold up the thread that takes what arrives.
        if not self._when_here(ref, lambda done: self._later(callback, done)):
            callback(ref)

    def _when_here(self, ref: ObjectRef[Any], callback: Callable[[ObjectRef[Any]], None]) -> bool:
        def arrived(done: ObjectRef[Any]) -> None:
            self._awaited.pop(token, None)
            callback(done)

        token = object()
        with self.engine.refs.lock:
            waits = self.engine.refs.when(ref, "value", arrived)
            if waits:
                self._awaited[token] = ref  # nobody else may have it
        if waits:
            self.engine.send(("want", [ref._key]))
        return waits

    def _later(self, callback: Callable[[ObjectRef[Any]], None], ref: ObjectRef[Any]) -> None:
        with self.engine.refs.lock:
            if self._callbacks is None:
                self._callbacks = queue.SimpleQueue()
                thread = threading.Thread(target=self._call_back, name="skate-callbacks", daemon=True)
                self._callback_thread = thread
                thread.start()
        self._callbacks.put((callback, ref))

    def _call_back(self) -> None:
        assert self._callbacks is not None
        while (job := self._callbacks.get()) is not None:
            callback, ref = job
            try:
                callback(ref)
            except Exception:
                logging.getLogger("skate").exception("a callback of a ref raised")
            del job, callback, ref

    def wrap_asyncio(self, ref: ObjectRef[Any], loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        future = loop.create_future()
        thread = threading.get_ident()

        def settle(outcome: Any, failed: bool) -> None:
            if future.done():
                return
            if failed:
                future.set_exception(_for_future(outcome))
            else:
                future.set_result(outcome)

        def finish(done: ObjectRef[Any]) -> None:
            try:
                outcome, failed = self.value(done), False
            except BaseException as error:
                outcome, failed = error, True
            if threading.get_ident() == thread:
                settle(outcome, failed)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(settle, outcome, failed)

        if not self._when_here(ref, finish):
            finish(ref)
        return future


def _for_future(error: BaseException) -> BaseException:
    if isinstance(error, StopIteration):
        return RuntimeError(f"StopIteration: {error}")
    return error
