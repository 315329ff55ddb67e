"""Marking what is printed with who prints it, so that the driver can say so."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

from skate.engine.local.node.output import MARK


class MarkedStream(io.TextIOWrapper):
    """A standard stream that writes a mark before the first text of each task."""

    def __init__(self, fd: int, who: Callable[[], str]) -> None:
        super().__init__(
            io.FileIO(fd, "w", closefd=False), encoding="utf-8", errors="backslashreplace", write_through=True
        )
        self._who = who
        self._last = ""

    def write(self, text: str) -> int:
        """Write text, after a mark if somebody else wrote last."""
        name = self._who()
        if name != self._last and text:
            self._last = name
            super().write(f"{MARK.decode()}{name}\n")
        return super().write(text)


def install(who: Callable[[], str]) -> None:
    """Mark this process's standard output and error."""
    sys.stdout = MarkedStream(1, who)
    sys.stderr = MarkedStream(2, who)
