"""The local engine in the process that started the session."""

from __future__ import annotations

import marshal
import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from skate.core import runtime
from skate.engine.local import launch, protocol, registry, wire
from skate.engine.local.client.engine import LocalEngine
from skate.engine.local.client.spin import Spin
from skate.engine.local.printer import Printer

if TYPE_CHECKING:
    from skate.engine.base import InitConfig
    from skate.engine.local.client.loop import Latch


_PATIENCE = 5.0
"""Seconds for which a session that runs may not listen yet."""


class DriverEngine(LocalEngine):
    """A user's program in a session: what it prints, how it is interrupted, what its forks see."""

    def __init__(
        self,
        config: InitConfig,
        namespace: str,
        node: socket.socket,
        settings: dict[str, Any],
        arena_fd: int,
        printer: Printer,
    ) -> None:
        super().__init__(node, settings["first_number"], settings, arena_fd, namespace)
        self.config = config
        self.job_env = dict(config.runtime_env)
        self.printer = printer
        self.print_log = printer.show
        self.loop.parked_fd = self.node.fd
        if (os.cpu_count() or 1) > 1:
            self.loop.spin = Spin(lambda: len(self.pending) <= 1)
        self._old_handler: Any = None
        self._install_handler()
        os.register_at_fork(after_in_child=self._forked)

    def _install_handler(self) -> None:
        """Ctrl-C never lands in the middle of handling a message: it is raised right after."""
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            return
        signal.signal(signal.SIGINT, self._on_sigint)
        self._old_handler = signal.default_int_handler

    def _on_sigint(self, number: int, frame: Any) -> None:
        self.loop.interrupt(lambda: signal.default_int_handler(number, frame))

    def _forked(self) -> None:
        """A child of the driver is not part of the session."""
        if self.ended:
            return
        self.ended = "this process is a fork of the driver; call skate.init() to start a session of its own."
        self.loop.abandon()
        os.close(self.objects.arena.fd)
        self.abandon()
        if runtime.engine is self:
            runtime.engine = None

    def abandon(self) -> None:
        """In a forked child: let go of what else of the session this process has inherited."""

    def leave(self) -> None:
        """Tell the node, wait for its farewell, and end what is this process's own."""
        if not self.ended:
            with self.loop.mutex:
                self.node.send((protocol.STOP,))
                self.loop.flush(self.node)
            bye: Latch = self.bye
            self.loop.wait(bye, 2.0)
        self.end("skate.shutdown() was called.")
        self.printer.close()

    def restore_handler(self) -> None:
        """Ctrl-C is again what it was before."""
        if self._old_handler is not None and signal.getsignal(signal.SIGINT) == self._on_sigint:
            signal.signal(signal.SIGINT, self._old_handler)


class StarterEngine(DriverEngine):
    """The program that has started the session, which ends with it."""

    def __init__(self, config: InitConfig, namespace: str, session: launch.Session) -> None:
        super().__init__(config, namespace, session.node, session.config, session.arena_fd, Printer())
        self.session = session
        registry.register(session.config, os.getpid())

    def abandon(self) -> None:
        self.session.life.close()

    def shutdown(self) -> None:
        registry.unregister(self.session.config["session_dir"])
        self.leave()
        launch.stop(self.session)
        self.restore_handler()


class JoinedEngine(DriverEngine):
    """A program in a session that others have started."""

    def __init__(
        self,
        config: InitConfig,
        namespace: str,
        node: socket.socket,
        settings: dict[str, Any],
        arena_fd: int,
        printer: Printer,
    ) -> None:
        super().__init__(config, namespace, node, settings, arena_fd, printer)
        # Workers were forked by somebody else's program: for this one they look where it finds its modules.
        own_path = [
            os.path.abspath(path) for path in sys.path if path not in settings["sys_path"] or not path
        ]
        inside = {"_sys_path": own_path, "_worker_setup": [list(setup) for setup in config.worker_setup]}
        self.job_env = {
            **settings["base_env"],
            **config.runtime_env,
            **{k: v for k, v in inside.items() if v},
        }
        if not config.log_to_driver:
            self.print_log = lambda *_: None
        self.tell(protocol.JOIN, namespace, os.getpid(), " ".join(["python", *sys.argv]))

    def shutdown(self) -> None:
        if not self.ended:
            self.history.hand_over()  # the session outlives this program, and remembers what it did
        self.leave()
        self.restore_handler()


def _reach(entry: registry.Entry) -> socket.socket:
    """A connection to the node of a session that may have begun just now, and not listen yet."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return wire.connect(entry.node_path, entry.token, protocol.DRIVER)
        except (FileNotFoundError, ConnectionRefusedError):
            if not registry.runs(entry) or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def join(config: InitConfig, namespace: str, entry: registry.Entry) -> JoinedEngine:
    """Become a driver of a session that runs.

    Raises:
        ConnectionError: it does not answer.
    """
    printer = Printer()
    try:
        sock = _reach(entry)
        sock.settimeout(10)
        size, fds, _flags, _address = socket.recv_fds(sock, 4, 1)
        length = int.from_bytes(size, "little")
        body = sock.recv(length, socket.MSG_WAITALL) if len(size) == 4 else b""
        if not fds or len(body) != length:
            raise ConnectionError("it ended while it answered")
    except OSError as error:
        raise ConnectionError(f"session {entry.name} (pid {entry.pid}) can't be joined: {error}.") from error
    return JoinedEngine(config, namespace, sock, marshal.loads(body), fds[0], printer)
