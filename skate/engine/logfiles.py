"""Workers' output, kept in the session's folder: for each worker and stream a file of a megabyte, and the megabyte before it."""

from __future__ import annotations

import os

LIMIT = 1 << 20


def read_from(path: str, start: int) -> tuple[bytes, int]:
    """What a file holds from byte `start` on, and where the next reading begins; all of it, where it has been begun anew since.

    Nothing, if it is gone.
    """
    try:
        with open(path, "rb") as file:
            if start > os.fstat(file.fileno()).st_size:
                start = 0
            file.seek(start)
            data = file.read()
    except FileNotFoundError:
        return b"", start
    return data, start + len(data)


class LogFiles:
    """The files of a session, in `folder`; they go with it.

    Args:
        folder: Made when something is first printed.
        limit: Bytes after which a file is put aside, in the place of the one that was put aside before.
    """

    def __init__(self, folder: str, limit: int = LIMIT) -> None:
        self.folder = folder
        self._limit = limit
        self._open: dict[tuple[int, str], tuple[int, str, int]] = {}

    def write(self, number: int, pid: int, stream: str, data: bytes) -> None:
        """Add to what a worker has printed. Where the disk does not take it, it is not kept."""
        try:
            fd, path, size = self._open.get((number, stream)) or self._create(number, pid, stream)
            if size + len(data) > self._limit:
                del self._open[number, stream]
                os.close(fd)
                os.replace(path, f"{path}.old")
                fd, path, size = self._create(number, pid, stream)
            size += os.write(fd, data[-self._limit :])
        except OSError:
            return  # a full disk: the program goes on, and its output still reaches the driver
        self._open[number, stream] = (fd, path, size)

    def close(self, number: int) -> None:
        """A worker is gone."""
        for stream in ("out", "err"):
            found = self._open.pop((number, stream), None)
            if found is not None:
                os.close(found[0])

    def _create(self, number: int, pid: int, stream: str) -> tuple[int, str, int]:
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        path = os.path.join(self.folder, f"worker-{number:012x}-01000000-{pid}.{stream}")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        # It is there already, with what it holds, if it could not be put aside.
        self._open[number, stream] = (fd, path, os.fstat(fd).st_size)
        return self._open[number, stream]
