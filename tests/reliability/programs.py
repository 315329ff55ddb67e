"""Running drivers that die in programs of their own, and seeing what is left of them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil

from tests.support import REPO, wait_until

HEAD = """
import os, signal, sys, threading, time
import skate
from skate.core import runtime
from tests.support import wait_until

def say(*words):
    print(*words, flush=True)

def session():
    say("session", runtime.engine.session.config["session_dir"])
"""
"""The first lines of every program."""


def _runs(process: psutil.Process) -> bool:
    # An orphan that has ended stays a zombie where process 1 does not reap, as in some containers.
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Driver:
    """A running program and the session it has started."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.out: IO[str] = process.stdout
        self.family: list[psutil.Process] = []
        self.session_dir = Path()

    def expect(self, word: str) -> str:
        """Read lines until one starts with `word`, and return the rest of it."""
        lines = []
        for line in self.out:
            lines.append(line)
            if line.split(maxsplit=1)[:1] == [word]:
                rest = line.strip().removeprefix(word).strip()
                if word == "session":
                    self.session_dir = Path(rest)
                return rest
        raise AssertionError(f"the program ended without saying {word!r}; it said: {''.join(lines)}")

    def look(self) -> None:
        """Remember which processes it has."""
        self.family = psutil.Process(self.process.pid).children(recursive=True)
        assert self.family, "a session has processes"
        assert self.session_dir.is_dir()

    def gone(self, within: float = 1.0) -> None:
        """Everything that `look` saw goes away within so many seconds."""
        wait_until(
            lambda: not any(map(_runs, self.family)) and not self.session_dir.exists(),
            within,
            f"the end of {self.family} and {self.session_dir} to be removed",
        )

    def end(self, code: int = 0, timeout: float = 20) -> str:
        """Wait for the program and return what else it said."""
        watchdog = threading.Timer(timeout, self.process.kill)
        watchdog.start()
        rest = self.out.read()
        self.process.wait(timeout)
        watchdog.cancel()
        watchdog.join()
        assert self.process.returncode == code, f"exit {self.process.returncode}, not {code}:\n{rest}"
        return rest


@contextmanager
def driver(body: str, **environ: str) -> Iterator[Driver]:
    """Run a program; what it writes to either stream is read through `Driver`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HEAD + textwrap.dedent(body)],
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": str(REPO), **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield Driver(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def run(body: str, code: int = 0, timeout: float = 40, **environ: str) -> str:
    """Run a program to its end and return all it wrote."""
    with driver(body, **environ) as program:
        return program.end(code, timeout)
