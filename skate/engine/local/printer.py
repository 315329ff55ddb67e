"""What workers print, shown as the program's own output: each line with who printed it."""

from __future__ import annotations

import os
import sys
import threading
import time

from skate.core import runtime
from skate.engine.local.duplicates import Duplicates, Line, from_environment


class Printer:
    """Shows lines as they come, and counts of those that several workers print.

    Raises:
        ValueError: an environment variable about it is wrong.
    """

    def __init__(self) -> None:
        self._streams: dict[str, Duplicates | None] = {"out": from_environment(), "err": from_environment()}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._closed = False

    def show(self, stream: str, name: str, pid: int, text: bytes) -> None:
        """Whole lines of one worker."""
        lines = text.decode(errors="replace").splitlines(keepends=True)
        if runtime.show_progress is not None and any(runtime.PROGRESS in line for line in lines):
            for line in lines:
                if runtime.PROGRESS in line:
                    runtime.show_progress(line)
            lines = [line for line in lines if runtime.PROGRESS not in line]
        with self._lock:
            duplicates = self._streams[stream]
            if duplicates is None:
                write(stream, [(name, pid, line) for line in lines])
                return
            write(stream, duplicates.feed(name, pid, lines, time.monotonic()))
            self._set_timer()

    def close(self) -> None:
        """Nothing more will come: tell what was counted."""
        with self._lock:
            self._closed = True
            timer, self._timer = self._timer, None
            for stream, duplicates in self._streams.items():
                if duplicates is not None:
                    write(stream, duplicates.flush())
        if timer is not None:
            timer.cancel()
            timer.join()

    def _set_timer(self) -> None:
        if self._timer is not None or self._closed:
            return
        due = [
            when for each in self._streams.values() if each is not None and (when := each.due()) is not None
        ]
        if due:
            self._timer = threading.Timer(max(0.0, min(due) - time.monotonic()), self._tick)
            self._timer.name, self._timer.daemon = "skate-output", True
            self._timer.start()

    def _tick(self) -> None:
        with self._lock:
            self._timer = None
            for stream, duplicates in self._streams.items():
                if duplicates is not None:
                    write(stream, duplicates.tick(time.monotonic()))
            self._set_timer()


def write(stream: str, lines: list[Line]) -> None:
    """Write lines to this process's standard output ("out") or error ("err"), each with who printed it."""
    if not lines:
        return
    target = sys.stdout if stream == "out" else sys.stderr
    shown = "({} pid={}) {}"
    if os.environ.get("RAY_DISABLE_WORKER_LOG_PREFIX", "0").lower() in ("1", "true"):
        shown = "{2}"
    elif target is not None and target.isatty() and os.environ.get("RAY_COLOR_PREFIX") != "0":
        shown = "\x1b[36m({} pid={})\x1b[0m {}"
    try:
        target.write("".join([shown.format(*line) for line in lines]))
        target.flush()
    except (OSError, ValueError, AttributeError):
        return  # the driver has closed its own output: there is nobody to show it to
