"""What the processes of one Dask worker have printed, kept in its folder and read by whoever asks for it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

from skate.engine.logfiles import LogFiles, read_from

if TYPE_CHECKING:
    from skate.engine.dask.children import Child


class LogFacts(NamedTuple):
    """A file of it."""

    name: str
    size: int
    pid: int
    worker: int
    """The number of the process."""
    actor: int
    """The actor that lived there; 0 for none."""


class Logs:
    """The files, and whose they are.

    Args:
        folder: Made when something is first printed.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._files = LogFiles(folder)
        self._printers: dict[int, tuple[int, int]] = {}
        """By pid: the number of the process, and its actor."""

    def write(self, child: Child, stream: str, text: str) -> None:
        """A process has printed."""
        self._printers[child.pid] = (child.number, child.actor)
        self._files.write(child.number, child.pid, stream, text.encode(errors="backslashreplace"))

    def ended(self, child: Child) -> None:
        """A process is gone; what it has printed stays."""
        self._files.close(child.number)

    def close(self) -> None:
        """The Dask worker ends, and the files with it."""
        for number, _actor in self._printers.values():
            self._files.close(number)
        shutil.rmtree(self.folder, ignore_errors=True)  # Dask may have removed its folder, with this in it

    def on_logs(self) -> list[LogFacts]:
        """All files."""
        found = []
        for name in sorted(os.listdir(self.folder)) if os.path.isdir(self.folder) else ():
            pid = int(name.rpartition("-")[2].partition(".")[0])
            size = os.path.getsize(os.path.join(self.folder, name))
            found.append(LogFacts(name, size, pid, *self._printers[pid]))
        return found

    def on_log(self, name: str, start: int) -> tuple[bytes, int]:
        """As `read_from`; nothing if it is none of these."""
        if all(name != facts.name for facts in self.on_logs()):
            return b"", start
        return read_from(os.path.join(self.folder, name), start)
