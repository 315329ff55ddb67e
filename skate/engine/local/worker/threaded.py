"""Actors whose methods run in several threads: a pool for each concurrency group."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

from skate.engine.local.worker.execute import Execution

if TYPE_CHECKING:
    from skate.engine.local.worker.main import Worker


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
