"""A driver or a worker, as the node knows it."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skate.engine.local import wire
    from skate.engine.local.node.output import Lines


class Process:
    """A driver or a worker."""

    __slots__ = (
        "command",
        "conn",
        "doomed",
        "ended",
        "is_driver",
        "job",
        "label",
        "machine",
        "namespace",
        "number",
        "path",
        "pid",
        "pipes",
        "reports",
        "status",
        "why",
    )

    def __init__(self, number: int, is_driver: bool, machine: str) -> None:
        self.number = number
        self.is_driver = is_driver
        self.machine = machine
        """The id of the machine that it is on."""
        self.pid = 0
        self.job = 0
        """The number of the driver that it is, or works for."""
        self.command = ""
        self.conn: wire.Conn | None = None
        self.path = ""
        self.label = ""
        self.namespace = ""
        self.status: int | None = None
        self.ended = ""
        self.why = ""
        """What kind of end it was made to come to, for who has to choose an error."""
        self.doomed = False
        """Killed before its pid was known: it is killed as soon as it tells."""
        self.pipes: dict[int, tuple[str, Lines]] = {}
        self.reports = True
        """Whether it can be asked what it does; an observer can't."""


def readable(sock: socket.socket) -> bool:
    """Whether something is to be read."""
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    except OSError:
        return False


def describe_end(status: int | None) -> str:
    """How a process ended, in words."""
    if status is None:
        return "its worker process has died: its connection broke"
    if status < 0:
        name = signal.Signals(-status).name
        hint = ""
        if name == "SIGKILL":
            hint = "; somebody killed it, or the system ran out of memory"
        elif name == "SIGSEGV":
            hint = "; a native library crashed"
        return f"its worker process has died: it was ended by {name}{hint}"
    return f"its worker process has died: it exited with code {status}"
