"""The local engine in the process that started the session."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from skate.core import runtime
from skate.engine.local import launch, protocol, registry
from skate.engine.local.client.engine import LocalEngine

if TYPE_CHECKING:
    from skate.engine.base import InitConfig
    from skate.engine.local.client.loop import Latch


class DriverEngine(LocalEngine):
    """A session of this machine, which ends with its driver."""

    def __init__(self, config: InitConfig, namespace: str, session: launch.Session) -> None:
        super().__init__(
            session.node, session.config["first_number"], session.config, session.arena_fd, namespace
        )
        self.config = config
        self.session = session
        self.job_env = dict(config.runtime_env)
        self.print_log = write_log
        self.loop.parked_fd = self.node.fd
        registry.register(session.config, os.getpid())
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
        if self.loop.in_critical:
            self.loop.interrupted = lambda: signal.default_int_handler(number, frame)
            return
        signal.default_int_handler(number, frame)

    def _forked(self) -> None:
        """A child of the driver is not part of the session."""
        if self.ended:
            return
        self.ended = "this process is a fork of the driver; call skate.init() to start a session of its own."
        self.loop.abandon()
        self.session.life.close()
        os.close(self.session.arena_fd)
        if runtime.engine is self:
            runtime.engine = None

    def shutdown(self) -> None:
        if not self.ended:
            with self.loop.mutex:
                self.node.send((protocol.STOP,))
                self.loop.flush(self.node)
            bye: Latch = self.bye
            self.loop.wait(bye, 2.0)
        registry.unregister(self.session.config["session_dir"])
        self.end("skate.shutdown() was called.")
        launch.stop(self.session)
        if self._old_handler is not None and signal.getsignal(signal.SIGINT) == self._on_sigint:
            signal.signal(signal.SIGINT, self._old_handler)


def write_log(stream: str, name: str, pid: int, text: bytes) -> None:
    """Print workers' output as this process's own, each line with who printed it."""
    target = sys.stdout if stream == "out" else sys.stderr
    prefix = f"({name} pid={pid}) "
    if target is not None and target.isatty():
        prefix = f"\x1b[36m{prefix.rstrip()}\x1b[0m "
    lines = text.decode(errors="replace").splitlines(keepends=True)
    if runtime.show_progress is not None and any(runtime.PROGRESS in line for line in lines):
        for line in lines:
            if runtime.PROGRESS in line:
                runtime.show_progress(line)
        lines = [line for line in lines if runtime.PROGRESS not in line]
    try:
        target.write("".join(prefix + line for line in lines))
        target.flush()
    except (OSError, ValueError, AttributeError):
        return  # the driver has closed its own output: there is nobody to show it to
