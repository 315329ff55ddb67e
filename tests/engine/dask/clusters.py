"""A Dask cluster as its users start one: `dask scheduler` and `dask worker` as processes of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support import REPO, wait_until


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Cluster:
    """A scheduler and workers; `kill` ends any of them as a crash would."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.address = f"dask://127.0.0.1:{self._port}"
        self.scheduler = self._start(
            "scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            str(self._port),
            "--no-dashboard",
            "--dashboard-address",
            "127.0.0.1:0",
        )
        wait_until(self._listens, 20)
        self.workers: list[subprocess.Popen[bytes]] = []

    def _start(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", what, *arguments]
        with (self._folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(REPO)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _listens(self) -> bool:
        assert self.scheduler.poll() is None, (self._folder / "scheduler.log").read_text()
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self._port)) == 0

    def add_worker(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a worker with one thread."""
        worker = self._start(
            "worker",
            f"tcp://127.0.0.1:{self._port}",
            *(
                "--host",
                "127.0.0.1",
                "--nthreads",
                "1",
                "--no-nanny",
                "--no-dashboard",
                "--dashboard-address",
                "127.0.0.1:0",
            ),
            *("--memory-limit", "0", "--local-directory", str(self._folder)),
            *arguments,
        )
        self.workers.append(worker)
        return worker

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End a process by SIGKILL."""
        process.kill()
        process.wait(10)

    def close(self) -> None:
        """End all of them."""
        for process in [*self.workers, self.scheduler]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """A cluster with so many workers, gone afterwards."""
    made = Cluster(folder)
    try:
        for _ in range(workers):
            made.add_worker()
        yield made
    finally:
        made.close()
