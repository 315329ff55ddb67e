"""What the threads of this process do now."""

from __future__ import annotations

import sys
import threading
import traceback

Threads = list[tuple[str, int, list[tuple[str, int, str, str]]]]
"""(name, ident, frames) of each; a frame is (file, line, function, the line's text)."""


def threads() -> Threads:
    """All of them."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    found: Threads = []
    for ident, frame in sys._current_frames().items():
        frames = [(f.filename, f.lineno or 0, f.name, f.line or "") for f in traceback.extract_stack(frame)]
        found.append((names.get(ident, "a thread that Python did not start"), ident, frames))
    return found
