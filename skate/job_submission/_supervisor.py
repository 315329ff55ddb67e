"""The actor of one job: it is in the job's environment, holds the job's resources, and runs its command."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import skate
from skate.job_submission import _watch

_AS_RAY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "as_ray")
_PACKAGES = ("site-packages", "dist-packages")


class CommandNotStarted(Exception):
    """The system refuses to run the command."""


class Supervisor:
    """Runs one command."""

    def __init__(self) -> None:
        self.watch: asyncio.subprocess.Process | None = None
        self.stopping = False

    async def ready(self) -> None:
        """The actor is there."""

    async def launch(
        self, command: str, log: str, variables: dict[str, str], paths: list[str]
    ) -> tuple[int, str]:
        """Start the command. Returns its process group and the node's id.

        Raises:
            CommandNotStarted: the system refuses.
        """
        try:
            self.watch = await asyncio.create_subprocess_exec(
                sys.executable,
                "-S",  # it needs nothing that is installed
                _watch.__file__,
                command,
                log,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,  # what ends this process by its group shall leave the watch to do its work
                env={**os.environ, **variables, **search_paths(paths)},
            )
        except OSError as error:  # such as a command that is too long
            raise CommandNotStarted(str(error)) from error
        word, rest = await self._hear()
        if word != "started":
            raise CommandNotStarted(rest)
        if self.stopping:
            await self.stop()
        return int(rest), skate.get_runtime_context().get_node_id()

    async def wait(self) -> int:
        """Return when the command has ended, with its exit code."""
        _word, rest = await self._hear()
        assert self.watch is not None
        await self.watch.wait()
        return int(rest)

    async def stop(self) -> None:
        """Have the command ended, as soon as it runs."""
        self.stopping = True
        if self.watch is not None and self.watch.stdin is not None:
            self.watch.stdin.write(b"stop\n")

    async def _hear(self) -> tuple[str, str]:
        assert self.watch is not None
        assert self.watch.stdout is not None
        line = (await self.watch.stdout.readline()).decode().strip()
        if not line:
            raise RuntimeError("the process that runs the job's command was killed")
        word, _, rest = line.partition(" ")
        return word, rest


def search_paths(paths: list[str]) -> dict[str, Any]:
    """Where the command finds `python`, and that what it imports: this interpreter, the job's own modules, Skate."""
    home = os.path.dirname(os.path.abspath(sys.executable))
    modules = [_AS_RAY, *paths, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    package = os.path.dirname(os.path.dirname(os.path.abspath(skate.__file__)))
    if os.path.basename(package) not in _PACKAGES:
        modules.append(package)  # it runs from a checkout
    return {
        "PATH": os.pathsep.join([home, os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join(modules),
    }
