"""What leads to the debugger in a worker: `breakpoint()`, `skate.util.rpdb`, and errors if the environment asks for that."""

from __future__ import annotations

import os
import sys
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from skate.engine.local.client.running import current_task

if TYPE_CHECKING:
    from skate.engine.local.worker.main import Worker

_PACKAGE = (
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))) + os.sep
)


def install(worker: Worker) -> None:
    """Have a worker stop on the driver's terminal; `breakpoint()` too, unless PYTHONBREAKPOINT names another debugger."""

    def debug(frame: FrameType | None, trace: TracebackType | None) -> None:
        from skate.engine.local.worker import debugger  # here, as few workers need it

        running = current_task.get()
        debugger.debug(worker, frame, trace, "a worker" if running is None else running.name)

    def hook(*_args: Any, **_kwargs: Any) -> None:
        debug(sys._getframe(1), None)

    worker.engine.debugger = debug
    if "PYTHONBREAKPOINT" not in os.environ:
        sys.breakpointhook = hook


def wanted_after_errors() -> bool:
    """Whether a task that raises is to stop where it raised."""
    return os.environ.get("RAY_DEBUG_POST_MORTEM", "0") not in ("", "0", "false")


def look_at(worker: Worker, error: BaseException) -> None:
    """Stop where a task raised, in the user's frames."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        trace = trace.tb_next
    if trace is not None:
        worker.engine.debug(None, trace)
