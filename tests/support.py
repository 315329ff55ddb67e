"""What many tests need: waiting for a condition, and running a script in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")

REPO = Path(__file__).resolve().parent.parent
"""The root of the repository."""

_PAUSE = 0.005


def wait_until(condition: Callable[[], _T], timeout: float = 10, what: str = "the condition") -> _T:
    """Poll until ``condition()`` is true and return what it returned.

    Args:
        condition: Called repeatedly; anything true ends the wait.
        timeout: Seconds to wait before giving up.
        what: The awaited thing in words, for the message.

    Raises:
        TimeoutError: the condition was still false after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s for {what}; the last answer was {answer!r}")
        time.sleep(_PAUSE)
    return answer


def run_python(
    *arguments: str | Path, timeout: float = 30, interpreter_options: Sequence[str] = ("-W", "error")
) -> subprocess.CompletedProcess[str]:
    """Run ``python *arguments`` from the root of the repository with warnings as errors.

    Args:
        arguments: A script and its arguments, or ``-c`` and code.
        timeout: Seconds after which it is killed and `subprocess.TimeoutExpired` raised.
        interpreter_options: Options of the interpreter itself.
    """
    return subprocess.run(
        [sys.executable, *interpreter_options, *map(str, arguments)],
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def run_code(code: str, timeout: float = 30) -> str:
    """Run a few lines of Python in a fresh interpreter and return what they print; their failure is ours."""
    finished = run_python("-c", code, timeout=timeout)
    assert finished.returncode == 0, f"exit {finished.returncode}\n{finished.stdout}{finished.stderr}"
    return finished.stdout
