"""A debugger in tasks and actors, on the terminal of the program that started them.

`breakpoint()` inside a task does the same. With RAY_DEBUG_POST_MORTEM=1 in the environment when the session starts, a task that raises
stops where it raised.
"""

from __future__ import annotations

import sys
from typing import Any

import skate


def set_trace(breakpoint_uuid: Any = None) -> None:
    """Stop here, in a task, an actor or the program itself, and debug it from the program's terminal.

    Args:
        breakpoint_uuid: Accepted for Ray's programs.
    """
    skate._debug(sys._getframe(1), None)  # noqa: SLF001 -- offered to the libraries


def post_mortem(traceback: Any = None) -> None:
    """Look at where an exception was raised.

    Args:
        traceback: Of the exception; default: of the one that is being handled.

    Raises:
        ValueError: no exception is being handled.
    """
    trace = traceback or sys.exc_info()[2]
    if trace is None:
        raise ValueError("post_mortem() needs a traceback: no exception is being handled here.")
    skate._debug(None, trace)  # noqa: SLF001 -- offered to the libraries


__all__ = ["post_mortem", "set_trace"]
