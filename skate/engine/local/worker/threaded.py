"""Actors whose methods run in several threads: a pool for each concurrency group."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from skate.engine.local.worker.execute import Execution

if TYPE_CHECKING:
    from skate.engine.local import wire
    from skate.engine.local.worker.main import Worker

_HOLD = 0.001
"""Seconds for which answers may wait for more while calls wait for a thread, to share a write."""


class Answers:
    """What the threads have answered, written by one of them at a time: no thread waits while another writes.

    While more calls wait than there are threads, nobody writes more often than every ms. The main thread looks after what is left, as
    every other thread may be busy for long.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._loop = worker.engine.loop
        self._made: deque[tuple[wire.Conn, tuple[Any, ...]]] = deque()
        self._writing = threading.Lock()
        self._written = 0.0
        self._watched = False
        """Whether the main thread knows that there are answers to look after."""
        self._plain_before_poll = self._loop.before_poll
        self._loop.before_poll = self._before_poll

    def add(self, conn: wire.Conn, answer: tuple[Any, ...]) -> None:
        """Answer a call, soon."""
        self._made.append((conn, answer))
        if time.perf_counter() - self._written > _HOLD or not self._backlog():
            self._write()
        elif not self._watched:
            self._watched = True
            self._loop.wake()

    def queue(self) -> None:
        """Hand all answers to their connections (with the mutex held)."""
        made = self._made
        while made:
            conn, answer = made.popleft()
            if not conn.closed:
                conn.send(answer)
                self._loop.dirty.add(conn)

    def _write(self) -> None:
        # Again if there is more by the time that the lock is free: who finds it taken leaves its answer to who has it.
        while self._made and self._writing.acquire(blocking=False):
            try:
                with self._loop.mutex:
                    self.queue()
                    self._worker.engine.flush_all()
                self._written = time.perf_counter()
            finally:
                self._writing.release()

    def _before_poll(self) -> float | None:
        self._plain_before_poll()
        if not self._made:
            self._watched = False
        if (
            not self._made
        ):  # looked at once more: who has added one since found nobody watching, and wakes this thread
            return None
        self._write()
        self._watched = True
        return _HOLD

    def _backlog(self) -> bool:
        return any(pool.backlog() for pool in self._worker.pools.values())


class Pool:
    """Up to `size` threads that take calls in order; a thread starts when a call finds none idle."""

    def __init__(self, worker: Worker, size: int, name: str) -> None:
        self._worker = worker
        self._size = size
        self._name = name
        self._queue: queue.SimpleQueue[tuple[Any, tuple[Any, ...]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._lock = threading.Lock()
        self.unfinished = 0

    def submit(self, conn: Any, message: tuple[Any, ...]) -> None:
        """Run a call when a thread is free."""
        with self._lock:
            self.unfinished += 1
            if self.unfinished > len(self._threads) and len(self._threads) < self._size:
                thread = threading.Thread(
                    target=self._run, name=f"skate-{self._name}-{len(self._threads)}", daemon=True
                )
                self._threads.append(thread)
                thread.start()
        self._queue.put((conn, message))

    def backlog(self) -> bool:
        """Whether calls wait for a thread."""
        return not self._queue.empty()

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            Execution(self._worker, *job).run()
            with self._lock:
                self.unfinished -= 1
                done = self.unfinished == 0
            if done:
                self._worker.pool_idle()
