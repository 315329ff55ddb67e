"""What user code prints: sent line by line to its driver, which says who printed it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable


class Printed(io.TextIOWrapper):
    """A standard stream whose whole lines go to the driver. What is written past Python stays with the Dask worker's own output."""

    def __init__(self, fd: int, name: str, send: Callable[[str, str], None]) -> None:
        super().__init__(io.FileIO(fd, "w", closefd=False), encoding="utf-8", errors="backslashreplace")
        self._name = name
        self._send = send
        self._rest = ""

    def write(self, text: str) -> int:
        """Send the whole lines, keep what follows the last."""
        whole, newline, rest = (self._rest + text).rpartition("\n")
        self._rest = rest
        if newline:
            self._send(self._name, whole + newline)
        return len(text)

    def end_line(self) -> None:
        """Send what has no newline yet: somebody else prints next."""
        if self._rest:
            self.write("\n")


def install(send: Callable[[str, str], None]) -> list[Printed]:
    """Replace this process's standard output and error. `send` takes the stream's name, "out" or "err", and lines."""
    out, err = Printed(1, "out", send), Printed(2, "err", send)
    sys.stdout, sys.stderr = out, err
    return [out, err]


def show(stream: str, who: str, pid: int, text: str) -> None:
    """Print lines as this process's own, each with who printed it."""
    target = sys.stdout if stream == "out" else sys.stderr
    prefix = f"({who} pid={pid}) "
    try:
        if target.isatty():
            prefix = f"\x1b[36m{prefix.rstrip()}\x1b[0m "
        target.write("".join(prefix + line for line in text.splitlines(keepends=True)))
        target.flush()
    except (OSError, ValueError, AttributeError):
        return  # the driver has closed its own output: there is nobody to show it to
