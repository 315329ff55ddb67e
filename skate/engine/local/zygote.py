"""The zygote: a single-threaded process that has imported what workers need, and forks the node and the workers in a few ms.

It is the parent of all of them: it tells the node how each ended, and when the driver or the node is gone it ends whatever is left.
"""

from __future__ import annotations

import errno
import gc
import marshal
import os
import select
import signal
import socket
import sys
import time
from typing import Any

_STARTED = -(1 << 31)


def main(config_fd: int) -> None:
    """Run: `config_fd` gives the configuration, and then the driver's life: it ends when the driver does."""
    life = socket.socket(fileno=config_fd)
    config = _read_config(life)
    sys.path[:] = config["sys_path"]
    sys.argv[:] = config["argv"]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    driver = None if config["standing"] else socket.socket(fileno=config["driver_fd"])
    for fd in (config_fd, config["kept_fd" if driver is None else "driver_fd"], config["arena_fd"]):
        os.set_inheritable(fd, False)  # what users' tasks start has no business with these
    node_end, zygote_end = socket.socketpair()
    node_pid = os.fork()
    if node_pid == 0:
        life.close()
        if driver is None:
            os.close(config["kept_fd"])
        zygote_end.close()
        # It does not die with the zygote, but sees its end: somebody must be left to end what the workers have started.
        _leave_group()
        from skate.engine.local.node.server import Server

        code = 1
        try:
            Server(config, driver, node_end, config["arena_fd"]).run()
            code = 0
        finally:
            if code:
                import traceback

                traceback.print_exc()
            os._exit(code)
    if driver is not None:
        driver.close()
    node_end.close()
    from skate.core import serialize
    from skate.core.environment.enter import run_setups
    from skate.engine.local.worker import main as worker_main

    gc.disable()  # what is imported stays: to look through it again and again takes an eighth of the time of a large import
    serialize.warm_up()
    run_setups(config["worker_setup"])
    for module in config["preload"]:
        __import__(module)
    gc.freeze()  # and without a collection before, which leaves holes in the pages that are shared
    gc.enable()
    code = _Zygote(config, life, zygote_end, node_pid, worker_main.run).serve()
    os._exit(code)


class _Zygote:
    def __init__(
        self, config: dict[str, Any], life: socket.socket, control: socket.socket, node_pid: int, run: Any
    ) -> None:
        self.config = config
        self.life = life
        self.control = control
        self.node_pid = node_pid
        self.run_worker = run
        self.children: dict[int, int] = {}
        self.wake_read, wake_write = os.pipe()
        os.set_blocking(self.wake_read, False)
        os.set_blocking(wake_write, False)
        self.wake_write = wake_write
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: None)

    def serve(self) -> int:
        """Fork on request until the driver or the node is gone; then end everything."""
        poll = select.poll()
        for fd in (self.life.fileno(), self.control.fileno(), self.wake_read):
            poll.register(fd, select.POLLIN)
        while True:
            ready = {fd for fd, _event in poll.poll()}
            if self.wake_read in ready:
                woken = os.read(self.wake_read, 4096)
                if self.reap() or signal.SIGTERM in woken:
                    break
            if self.life.fileno() in ready:
                break
            if self.control.fileno() in ready and not self.on_request():
                break
        return self.end()

    def on_request(self) -> bool:
        """One request to fork; False if the node is gone."""
        try:
            data, fds, _flags, _address = socket.recv_fds(self.control, 4, 2)
            data += _receive(self.control, 4 - len(data)) if data else b""
            body = _receive(self.control, int.from_bytes(data, "little"))
        except OSError:
            return False  # reset: the node was ended while it wrote
        if not body:
            return False
        number, env, machine = marshal.loads(body)
        try:
            pid = os.fork()
        except OSError:
            for fd in fds:
                os.close(fd)
            self.tell(number, 0, 1 << 8)
            return True
        if pid == 0:
            self.become_worker(number, env, machine, fds)
        for fd in fds:
            os.close(fd)
        self.children[pid] = number
        self.tell(number, pid, _STARTED)
        return True

    def become_worker(
        self, number: int, env: dict[str, Any], machine: dict[str, Any], fds: list[int]
    ) -> None:
        """In the child: shed the zygote's things and run the worker."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _die_with_parent(signal.SIGKILL)
        _leave_group()
        os.dup2(fds[0], 1)
        os.dup2(fds[1], 2)
        for fd in (*fds, self.wake_read, self.wake_write):
            os.close(fd)
        self.life.close()
        if self.config["standing"]:
            os.close(self.config["kept_fd"])
        self.control.close()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        code = 1
        try:
            os.environ.update(machine["variables"])
            code = self.run_worker({**self.config, **machine, "env": env}, number)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            except (OSError, ValueError):
                pass  # the node is gone, and with it the reader of this output
            os._exit(code)

    def reap(self) -> bool:
        """Collect children that have ended; True if the node is one of them."""
        node_ended = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return node_ended
            if pid == 0:
                return node_ended
            if pid == self.node_pid:
                node_ended = True
                continue
            number = self.children.pop(pid, None)
            if number is not None:
                _kill_group(pid)
                self.tell(number, pid, os.waitstatus_to_exitcode(status))

    def tell(self, number: int, pid: int, status: int) -> None:
        """Tell the node that a worker has started or ended."""
        message = (
            number.to_bytes(8, "little")
            + pid.to_bytes(4, "little")
            + status.to_bytes(4, "little", signed=True)
        )
        try:
            self.control.sendall(message)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise

    def end(self) -> int:
        """Let the node clean up for a moment, then end every process and remove what is left."""
        deadline = time.monotonic() + 0.5
        while self.node_pid and time.monotonic() < deadline:
            try:
                pid, _status = os.waitpid(self.node_pid, os.WNOHANG)
            except ChildProcessError:
                break
            if pid:
                break
            select.select([self.wake_read], [], [], 0.05)
            try:
                os.read(self.wake_read, 4096)
            except BlockingIOError:
                continue
        for pid in self.children:
            _kill_group(pid)
        for pid in (self.node_pid, *self.children):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                break
        import shutil

        shutil.rmtree(self.config["spill_dir"], ignore_errors=True)
        shutil.rmtree(self.config["session_dir"], ignore_errors=True)
        from skate.engine.local import registry  # here, as only the end needs it

        registry.unregister(self.config["session_dir"])
        return 0


def _read_config(sock: socket.socket) -> dict[str, Any]:
    body = _receive(sock, int.from_bytes(_receive(sock, 4), "little"))
    if not body:
        os._exit(0)  # the driver ended before it had finished its first sentence
    config: dict[str, Any] = marshal.loads(body)
    return config


def _receive(sock: socket.socket, count: int) -> bytes:
    """Exactly `count` bytes; none if the peer is gone."""
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            return b""
        data += piece
    return data


def _leave_group() -> None:
    """A process group of one's own: Ctrl-C in the driver's terminal is the driver's, and what a worker starts can be ended with it."""
    os.setpgid(0, 0)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _die_with_parent(how: signal.Signals) -> None:
    """Linux: have the kernel end this process when its parent is gone. Elsewhere the closed sockets do.

    The parent must have one thread only: it is the thread's end that counts.
    """
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(1, int(how), 0, 0, 0)
