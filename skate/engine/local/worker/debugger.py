"""`breakpoint()` in a task: the debugger runs in the worker, and its terminal is that of the driver, by way of a socket."""

from __future__ import annotations

import itertools
import logging
import os
import pdb  # noqa: T100 -- a debugger is what it is for
import select
import time
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from skate.engine.local import protocol, wire

if TYPE_CHECKING:
    import socket

    from skate.engine.local.worker.main import Worker

OUT = "out"
READ = "read"
LINE = "line"
_PATIENCE = 30.0
_stops = itertools.count(1)
_PACKAGE = (
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))) + os.sep
)


class Terminal:
    """The driver's terminal, as a file to write to and to read lines from."""

    encoding = "utf-8"

    def __init__(self, sock: socket.socket) -> None:
        self._conn = wire.Conn(sock)
        self._conn.sock.setblocking(True)

    def write(self, text: str) -> int:
        """Show text there."""
        self._conn.send((OUT, text))
        return len(text)

    def flush(self) -> None:
        """Send what is to be shown; nobody may be there any more."""
        self._conn.flush()

    def readline(self) -> str:
        """The next line that is typed there; empty when there is none to come."""
        self._conn.send((READ,))
        self.flush()
        while True:
            messages = self._conn.receive()
            if messages is None:
                return ""
            for message in messages:
                if message[0] == LINE:
                    return str(message[1])

    def close(self) -> None:
        """Give the terminal back."""
        self.flush()
        self._conn.close()


class Debugger(pdb.Pdb):
    """Python's own debugger on the driver's terminal. It stops in the user's code only."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(stdin=terminal, stdout=terminal, skip=["skate", "skate.*"])  # type: ignore[arg-type]
        self.prompt = "(rpdb) "
        self._terminal = terminal

    def set_continue(self) -> None:
        """Go on; without breakpoints that is the end of the conversation."""
        super().set_continue()
        if not self.breaks:
            self._terminal.close()

    def set_quit(self) -> None:
        """End the task."""
        super().set_quit()
        self._terminal.close()

    def user_return(self, frame: FrameType, return_value: Any) -> None:
        """A function returns; the task's own is the last that is looked at."""
        super().user_return(frame, return_value)
        if frame.f_back is not None and frame.f_back.f_code.co_filename.startswith(_PACKAGE):
            self.set_continue()


def debug(worker: Worker, frame: FrameType | None, trace: TracebackType | None, name: str) -> None:
    """Stop at a frame, or look at a traceback; goes on without a word to the user if no driver gives its terminal."""
    terminal = _attach(worker, name)
    if terminal is None:
        text = "%s has a breakpoint, and no terminal was attached within %g s: it goes on."
        logging.getLogger("skate").warning(text, name, _PATIENCE)
        return
    debugger = Debugger(terminal)
    if trace is not None:
        try:
            debugger.reset()
            debugger.interaction(None, trace)
        finally:
            terminal.close()
        return
    debugger.set_trace(frame)


def _attach(worker: Worker, name: str) -> Terminal | None:
    """Ask the driver for its terminal."""
    path = os.path.join(worker.settings["session_dir"], f"d{worker.number}.{next(_stops)}")
    listener = wire.listen(path)
    try:
        worker.engine.tell(protocol.ATTACH_ME, path, name)
        deadline = time.monotonic() + _PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([listener], [], [], left)[0]:
                break
            sock, _address = listener.accept()
            greeting = wire.Greeting(sock, deadline)
            try:
                while greeting.receive(worker.settings["token"]) is None:
                    if time.monotonic() > deadline:
                        raise wire.ProtocolError("the peer says nothing.")
                    select.select([sock], [], [], 1.0)
            except wire.ProtocolError:
                sock.close()
                continue
            return Terminal(sock)
        return None
    finally:
        listener.close()
        os.unlink(path)
