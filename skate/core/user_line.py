"""The line of the user's code that a call has come from, for messages about it."""

from __future__ import annotations

import os
import sys

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def where() -> str:
    """The line of the user's code that this thread has come from."""
    frame = sys._getframe(1)  # noqa: SLF001 -- `inspect` has no cheaper one
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
