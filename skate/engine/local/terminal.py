"""The driver's half of a debugger that runs in a worker: what it prints is shown here, and what is typed here goes there."""

from __future__ import annotations

import select
import sys
import threading
from typing import TYPE_CHECKING

from skate.engine.local import wire

if TYPE_CHECKING:
    from skate.engine.local.client.engine import LocalEngine

_one_at_a_time = threading.Lock()
"""Two tasks that stop take turns at the terminal."""


def lend(engine: LocalEngine, path: str, name: str, pid: int) -> None:
    """Give the terminal to a debugger, in a thread of its own, until it ends."""
    try:
        sock = wire.connect(path, engine.token)
    except OSError:
        return  # the worker is gone, or has gone on without us
    thread = threading.Thread(
        target=_serve, args=(wire.Conn(sock), name, pid), name="skate-terminal", daemon=True
    )
    thread.start()


def _serve(conn: wire.Conn, name: str, pid: int) -> None:
    try:
        with _one_at_a_time:
            _show(f"\n{name} (pid {pid}) has stopped; `h` for help, `c` to go on.\n")
            while (messages := _next(conn)) is not None:
                for message in messages:
                    if message[0] == "out":
                        _show(message[1])
                    elif message[0] == "read":
                        conn.send(("line", _typed()))
                        conn.flush()
    finally:
        conn.close()


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _next(conn: wire.Conn) -> list[tuple[str, ...]] | None:
    select.select([conn.sock], [], [])
    return conn.receive()


def _typed() -> str:
    """A line from this process's own input; empty if there is none."""
    try:
        return sys.stdin.readline() if sys.stdin is not None else ""
    except (OSError, ValueError):
        return ""  # closed: the debugger takes it as the end
