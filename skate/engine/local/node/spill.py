"""Moving objects to disk without stopping the node: one thread that copies from the shared-memory file to files."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Spiller:
    """Copies ranges to files; results are collected by the node when `wake` is called."""

    def __init__(self, fd: int, directory: str, wake: Callable[[], object]) -> None:
        self._fd = fd
        self._directory = directory
        self._wake = wake
        self._jobs: queue.SimpleQueue[tuple[int, int, int] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.results: deque[tuple[int, str, OSError | None]] = deque()

    def path(self, key: int) -> str:
        """The file of an object."""
        return os.path.join(self._directory, f"{key:x}")

    def start(self, key: int, offset: int, size: int) -> None:
        """Copy an object; (key, path, error) comes in `results`."""
        if self._thread is None:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            self._thread = threading.Thread(target=self._run, name="skate-spill", daemon=True)
            self._thread.start()
        self._jobs.put((key, offset, size))

    def stop(self) -> None:
        """End the thread after the copy under way."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            key, offset, size = job
            path = self.path(key)
            error = None
            try:
                self._copy(path, offset, size)
            except OSError as failure:
                error = failure
                if os.path.exists(path):
                    os.unlink(path)
            self.results.append((key, path, error))
            self._wake()

    def _copy(self, path: str, offset: int, size: int) -> None:
        target = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        try:
            end = offset + size
            while offset < end:
                if hasattr(os, "memfd_create"):
                    offset += os.sendfile(target, self._fd, offset, min(end - offset, 16 << 20))
                else:
                    offset += os.write(target, os.pread(self._fd, min(end - offset, 16 << 20), offset))
        finally:
            os.close(target)
