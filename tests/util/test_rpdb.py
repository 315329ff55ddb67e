"""Breakpoints in tasks and actors, on the terminal of the program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import skate
from skate.util import rpdb

skate.init(num_cpus=2, engine="local")

@skate.remote
def task(x):
    y = x + 1
    breakpoint()
    z = y * 2
    return z

@skate.remote
class Actor:
    def method(self):
        here = "in the actor"
        rpdb.set_trace()
        return here

@skate.remote(max_retries=0)
def bad(v):
    inside = v * 3
    raise ValueError("on purpose")

def show(ref):
    try:
        print("RESULT", skate.get(ref))
    except Exception as error:
        print("RAISED", type(error.cause).__name__)

show(task.remote(1))
show(Actor.remote().method.remote())
show(bad.remote(2))
show(task.remote(10))
"""


@pytest.fixture(scope="module", autouse=True)
def session() -> None:
    """No session here: the programs have their own."""


def run(tmp_path: Path, keys: str, **env: str) -> str:
    """What the program prints when these keys are typed."""
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), **env}
    done = subprocess.run(
        [sys.executable, program],
        check=False,
        capture_output=True,
        text=True,
        input=keys,
        timeout=50,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_stopping_stepping_and_going_on(tmp_path: Path) -> None:
    # The last three steps leave the method, and with it the debugger.
    out = run(tmp_path, "p y\nn\np z\nc\np here\nn\nn\nc\n")
    assert "task (pid " in out and "-> z = y * 2\n(rpdb) 2\n" in out and "(rpdb) 4\n" in out
    assert "RESULT 4\n" in out
    assert "Actor.method (pid " in out and "(rpdb) 'in the actor'\n" in out and "RESULT in the actor\n" in out
    assert "RAISED ValueError\n" in out and out.endswith("RESULT 22\n")


def test_without_input_the_task_is_ended(tmp_path: Path) -> None:
    out = run(tmp_path, "")
    assert out.count("RAISED BdbQuit\n") == 3


def test_where_a_task_raised(tmp_path: Path) -> None:
    out = run(tmp_path, "c\nc\np inside\nq\nc\n", RAY_DEBUG_POST_MORTEM="1")
    assert '-> raise ValueError("on purpose")\n(rpdb) 6\n' in out
    assert "RAISED ValueError\n" in out and out.endswith("RESULT 22\n")


def test_another_debugger_is_left_alone(tmp_path: Path) -> None:
    out = run(tmp_path, "c\n", PYTHONBREAKPOINT="0")
    assert out.startswith("RESULT 4\n") and "Actor.method (pid" in out
