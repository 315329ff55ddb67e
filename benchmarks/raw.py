"""The unit: a pickled 100-byte message over a socketpair to another process and back, in plain Python.

The processes are on two CPUs, as a caller and a worker are that can run at the same time. On one CPU, where the scheduler may put a
pair that never does, the way takes under half as long: nobody has to be woken.

Run as ``python -m benchmarks.raw FD CPU`` it is the other process.
"""

from __future__ import annotations

import os
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
        cpus = _cpus()
        self._here = {cpus[0]} if len(cpus) > 1 else set(cpus)
        there = [str(cpu) for cpu in cpus[-1:]]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.raw", str(far.fileno()), *there], pass_fds=[far.fileno()]
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
        allowed = set(_cpus())
        if allowed:
            os.sched_setaffinity(0, self._here)
        try:
            self._send(number)
        finally:
            if allowed:
                os.sched_setaffinity(0, allowed)

    def _send(self, number: int) -> None:
        near = self._near
        for _ in range(number):
            near.send(pickle.dumps(_MESSAGE, protocol=5))
            answer = near.recv(65536)
            if pickle.loads(answer) != _MESSAGE:
                raise RuntimeError(f"wrong answer from the echo process: {answer!r}")


def _cpus() -> list[int]:
    """Those that this thread may run on, if the system can tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _echo(far: socket.socket) -> None:
    while message := far.recv(65536):
        far.send(pickle.dumps(pickle.loads(message), protocol=5))


if __name__ == "__main__":
    if sys.argv[2:]:
        os.sched_setaffinity(0, {int(sys.argv[2])})
    _echo(socket.socket(fileno=int(sys.argv[1])))
