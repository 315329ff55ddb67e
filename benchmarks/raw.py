"""The unit: a pickled 100-byte message over a socketpair to another process and back, in plain Python.

Run as ``python -m benchmarks.raw FD`` it is the other process.
"""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["RawPair"]

_MESSAGE = bytes(85)  # 100 bytes once pickled


class RawPair:
    """A process that answers every message with the same message; a context manager.

    Example:
        >>> with RawPair() as raw:
        ...     raw.round_trips(3)

    """

    def __init__(self) -> None:
        self._near, far = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.raw", str(far.fileno())], pass_fds=[far.fileno()]
        )
        far.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._near.shutdown(socket.SHUT_RDWR)  # seen at once even if a fork holds a copy of the socket
        self._near.close()
        self._process.wait(timeout=10)

    def round_trips(self, number: int) -> None:
        """Send the message and receive it back, ``number`` times."""
        near = self._near
        for _ in range(number):
            near.send(pickle.dumps(_MESSAGE, protocol=5))
            answer = near.recv(65536)
            if pickle.loads(answer) != _MESSAGE:
                raise RuntimeError(f"wrong answer from the echo process: {answer!r}")


def _echo(far: socket.socket) -> None:
    while message := far.recv(65536):
        far.send(pickle.dumps(pickle.loads(message), protocol=5))


if __name__ == "__main__":
    _echo(socket.socket(fileno=int(sys.argv[1])))
