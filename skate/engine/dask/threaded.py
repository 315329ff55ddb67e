"""Actors whose methods run in several threads: a pool for each concurrency group."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skate.engine.dask.execute import Execution
    from skate.engine.dask.executor import Executor


class Pool:
    """Up to `size` threads that take calls in order; a thread starts when a call finds none idle."""

    def __init__(self, executor: Executor, size: int, name: str) -> None:
        self._executor = executor
        self._size = size
        self._name = name
        self._waiting: deque[Execution] = deque()
        self._changed = threading.Condition()
        self._threads = 0
        self._unfinished = 0
        self._here = threading.local()

    def submit(self, execution: Execution) -> None:
        """Run a call when a thread is free."""
        with self._changed:
            self._waiting.append(execution)
            self._unfinished += 1
            if self._unfinished > self._threads and self._threads < self._size:
                self._threads += 1
                name = f"skate-{self._name}-{self._threads}"
                threading.Thread(target=self._run, name=name, daemon=True).start()
            self._changed.notify_all()

    def _run(self) -> None:
        self._here.active = True
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                execution = self._waiting.popleft()
            execution.run()
            del execution
            with self._changed:
                self._unfinished -= 1
                self._changed.notify_all()

    def cancel(self, key: int) -> None:
        """Take back a call that has not started."""
        with self._changed:
            for execution in self._waiting:
                if execution.call.key == key:
                    self._waiting.remove(execution)
                    self._unfinished -= 1
                    self._executor.answer_cancelled(execution.call)
                    return

    def drain(self, but_this_thread: bool) -> None:
        """Wait until all calls are answered, but for the one that asks."""
        least = 1 if but_this_thread and getattr(self._here, "active", False) else 0
        with self._changed:
            while self._unfinished > least:
                self._changed.wait()
