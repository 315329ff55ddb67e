"""Runtime environments at the node: which there are, having them built, and what becomes of the workers that wait for one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from skate.engine.local import protocol

if TYPE_CHECKING:
    from skate.engine.local.node.process import Process
    from skate.engine.local.node.server import Server

_PATIENCE = 600
"""Seconds that a build may take, unless its environment says otherwise."""


class Build:
    """A builder's process."""

    __slots__ = ("deadline", "env", "pid", "said", "waiting")

    def __init__(self, env: str, pid: int, deadline: float, machine: str) -> None:
        self.env = env
        self.pid = pid
        self.deadline = deadline
        self.said = b""
        self.waiting = [machine]
        """For each worker that waits for it, its machine."""


class Environments:
    """The environments that workers of this session run in."""

    def __init__(self, server: Server, base: dict[str, Any]) -> None:
        self.server = server
        self.settled: dict[str, dict[str, Any]] = {"": base}
        """By canonical text; the empty text is the session's own environment."""
        self.builds: dict[int, Build] = {}
        """By the descriptor of the builder's output."""
        self.failures: dict[str, str] = {}
        """Why those could not be made that were wanted in vain."""
        self._used: dict[str, int] = {}
        self._use(base)

    def know(self, env: str) -> None:
        """Remember what an environment's key stands for."""
        if env not in self.settled:
            settled: dict[str, Any] = json.loads(env)
            self.settled[env] = settled
            self._use(settled)

    def start_worker(self, env: str, machine: str) -> None:
        """Have a worker forked, once the environment has been built."""
        settled = self.settled[env]
        if not (settled.get("pip") or settled.get("uv")) or "built" in settled:
            self.server.workers.fork(env, machine)
            return
        for build in self.builds.values():
            if build.env == env:
                build.waiting.append(machine)
                return
        self._build(env, settled, machine)

    def _build(self, env: str, settled: dict[str, Any], machine: str) -> None:
        read, write = os.pipe()
        source, sink = os.pipe()
        try:
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-m", "skate.core.environment.build"],
                {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, source, 0),
                    (os.POSIX_SPAWN_DUP2, write, 1),
                ],
                setpgroup=0,
            )
            # Requirements are short: they fit into the pipe.
            os.write(sink, json.dumps(settled).encode())
        finally:
            for fd in (write, source, sink):
                os.close(fd)
        os.set_blocking(read, False)
        seconds = settled.get("timeout", _PATIENCE)
        deadline = float("inf") if seconds == -1 else time.monotonic() + seconds
        self.builds[read] = Build(env, pid, deadline, machine)
        self.server.poller.add(read)

    def read(self, fd: int) -> None:
        """A builder has said something, or ended."""
        build = self.builds[fd]
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return
        if data:
            build.said += data
            return
        self._forget(fd, build)
        try:
            answer = json.loads(build.said)
        except ValueError:
            answer = {"error": "the process that builds it has ended without an answer."}
        if "error" in answer:
            self.failed(build.env, answer["error"])
            return
        settled = self.settled[build.env]
        settled["built"] = answer
        self.failures.pop(build.env, None)
        self._use(settled)
        for machine in build.waiting:
            self.server.workers.fork(build.env, machine)

    def tick(self, now: float) -> None:
        """End builds that take too long."""
        for fd, build in list(self.builds.items()):
            if now > build.deadline:
                self._forget(fd, build)
                seconds = self.settled[build.env].get("timeout", _PATIENCE)
                self.failed(build.env, f"it was not built within setup_timeout_seconds={seconds}.")

    def broken(self, process: Process, text: str) -> None:
        """A worker could not put itself into its environment."""
        worker = self.server.scheduler.workers.get(process.number)
        if worker is not None:
            self.failed(worker.env, text)

    def failed(self, env: str, text: str) -> None:
        """Whoever waits for a worker of that environment is told that there will be none."""
        self.failures[env] = text
        for client, what in self.server.scheduler.start_failed(env):
            if client < 0:
                self.server.table.unplaceable(what, text, (protocol.ENV_FAILED, text))
            else:
                self.server.connections.send(client, (protocol.ENV_FAILED, what, text))

    def close(self) -> None:
        """End the builders, and let go of the cache."""
        for fd, build in list(self.builds.items()):
            self._forget(fd, build)
        for fd in self._used.values():
            os.close(fd)
        self._used.clear()

    def _forget(self, fd: int, build: Build) -> None:
        del self.builds[fd]
        self.server.poller.remove(fd)
        os.close(fd)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(build.pid, signal.SIGKILL)  # what it has started goes too; it has nothing left to say
        os.waitpid(build.pid, 0)

    def _use(self, settled: dict[str, Any]) -> None:
        """Keep what an environment is made of in the cache for as long as the session lasts."""
        paths = [settled.get("working_dir"), *(settled.get("py_modules") or [])]
        built = settled.get("built")
        if built:
            paths.append(os.path.dirname(os.path.dirname(built["python"])))
        for path in paths:
            if path and path not in self._used:
                from skate.core.environment import cache

                self._used[path] = cache.use(path)
