"""What every thread of this process does now, as Python sees it."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skate.engine.local.client.engine import LocalEngine

_DEPTH = 60


def stacks(engine: LocalEngine) -> dict[str, Any]:
    """The stacks of all threads but the one that asks, the outermost frame first."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    threads = []
    for ident, frame in sys._current_frames().items():
        found = traceback.extract_stack(frame, _DEPTH)
        frames = [(f.filename, f.lineno or 0, f.name, f.line or "") for f in found]
        threads.append((names.get(ident, "a thread that Python did not start"), ident, frames))
    return {"pid": os.getpid(), "number": engine.number, "threads": threads}
