"""What the tests hold races open with: gates, tallies and scripts, so that no test sleeps to wait for something.

Workers import this module, so it imports nothing but the standard library and the module under test.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .api import launch_arguments, ray

#: How long a test waits for something that should happen at once, in seconds, before it calls it a failure.
PATIENCE = 30.0


@ray.remote(num_cpus=0)
class Gate:
    """A gate that tasks wait at until somebody opens it, and that tells how many have arrived."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._changed = asyncio.Condition()
        self._arrivals: list[Any] = []

    async def wait(self, who: Any = None) -> None:
        """Arrive as ``who`` and come back once the gate is open."""
        async with self._changed:
            self._arrivals.append(who)
            self._changed.notify_all()
        await self._open.wait()

    async def arrived(self, count: int = 1) -> list[Any]:
        """Come back once ``count`` callers have arrived, with who they said they are, in order."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._arrivals) >= count)
        return list(self._arrivals)

    async def open(self) -> None:
        """Let everybody through, now and later."""
        self._open.set()


@ray.remote(num_cpus=0)
class Notebook:
    """An actor that keeps what it is told, in order."""

    def __init__(self) -> None:
        self._notes: list[Any] = []

    def write(self, note: Any) -> None:
        """Append a note."""
        self._notes.append(note)

    def read(self) -> list[Any]:
        """Return all notes so far."""
        return list(self._notes)


class Tally:
    """A count kept in a file, one byte each, that survives any crash of the process that adds to it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self) -> int:
        """Add one and return the new count."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, b".")
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    @property
    def count(self) -> int:
        """How often :meth:`add` was called so far, by any process."""
        return self.path.stat().st_size if self.path.exists() else 0


@ray.remote
class Plain:
    """An actor with some state, which can hold, leave, stumble and crash."""

    def __init__(self, born: Tally | None = None) -> None:
        self.value = 0
        if born is not None:
            born.add()

    def add(self) -> int:
        self.value += 1
        return self.value

    def pid(self) -> int:
        return os.getpid()

    def hold(self, gate: Any) -> str:
        ray.get(gate.wait.remote())
        return "held"

    def leave(self) -> None:
        ray.actor.exit_actor()

    def crash(self) -> None:
        os._exit(1)

    def crash_until(self, tally: Tally, runs: int) -> int:
        if tally.add() < runs:
            os._exit(1)
        return tally.count

    def stumble(self, tally: Tally, runs: int) -> int:
        if tally.add() < runs:
            raise ValueError("stumbled")
        return tally.count

    def reconstructed(self) -> bool:
        return bool(ray.get_runtime_context().was_current_actor_reconstructed)


def wait_until(condition: Callable[[], object], what: str, timeout: float = PATIENCE) -> None:
    """Poll ``condition`` until it is true, or fail the test saying ``what`` did not happen.

    Args:
        condition: Called again and again, a hundredth of a second apart.
        what: What is waited for, for the failure's message.
        timeout: Seconds to keep trying.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout} s still waiting for: {what}")
        time.sleep(0.01)


def get(ref: Any) -> Any:
    """``ray.get`` that fails rather than waits for ever."""
    return ray.get(ref, timeout=PATIENCE)


def drain(stream: Any) -> list[Any]:
    """Get every value of a stream of refs."""
    return [get(ref) for ref in stream]


def is_dead(actor: Any) -> bool:
    """Whether this :class:`Plain` has died for good, judged by a call."""
    try:
        ray.get(actor.add.remote(), timeout=5)
    except ray.exceptions.ActorDiedError:
        return True
    except (ray.exceptions.ActorUnavailableError, ray.exceptions.GetTimeoutError):
        pass
    return False


def run_script(
    engine: str,
    folder: Path,
    body: str,
    environ: dict[str, str] | None = None,
    arguments: dict[str, Any] | None = None,
) -> str:
    """Run ``body`` as a program of its own, with ``ray`` imported and a session started, and return what it printed, errors too.

    Args:
        engine: The engine of the session.
        folder: Where the program is written and runs.
        body: The program's source after its first lines; indentation common to all lines is removed.
        environ: Environment variables to set.
        arguments: Further arguments of ``init``.

    Raises:
        AssertionError: If the program ends with another status than 0; the message has all it printed.
    """
    script = folder / "program.py"
    script.write_text(_head(engine, arguments) + textwrap.dedent(body), encoding="utf-8")
    return _run_interpreter([str(script)], folder, environ)


def run_cells(engine: str, folder: Path, *cells: str) -> str:
    """Run the cells one after another as a notebook does, in a `__main__` that has no file, and return what they printed.

    Raises:
        AssertionError: If a cell fails; the message has all that was printed.
    """
    sources = [_head(engine, None), *map(textwrap.dedent, cells)]
    program = "\n".join(
        [
            "import sys",
            "assert '__file__' not in globals()",
            f"for _cell in {sources!r}:",
            "    exec(compile(_cell, '<cell>', 'exec'), sys.modules['__main__'].__dict__)",
        ]
    )
    return _run_interpreter(["-c", program], folder, None)


def _head(engine: str, arguments: dict[str, Any] | None) -> str:
    options = {**launch_arguments(engine), **(arguments or {})}
    return f"import {ray.__name__} as ray\nray.init(**{options!r})\n"


def _run_interpreter(arguments: list[str], folder: Path, environ: dict[str, str] | None) -> str:
    package_parent = str(Path(ray.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [package_parent, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"status {done.returncode}, after printing:\n{done.stdout}"
    return done.stdout
