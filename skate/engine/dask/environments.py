"""Runtime environments at a Dask worker: what needs installing is built once, however many calls ask."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import Any

from skate import exceptions
from skate.core.environment import cache

_PATIENCE = 600
"""Seconds that a build may take, unless its environment says otherwise."""


class Environments:
    """The environments that processes of one Dask worker run in, by canonical text; empty for none."""

    def __init__(self) -> None:
        self._ready: dict[str, asyncio.Task[dict[str, Any]]] = {}
        self._used: dict[str, int] = {}
        self.failures: dict[str, str] = {}
        """Why those could not be made that were wanted in vain."""

    @property
    def made(self) -> list[str]:
        """Those that can be used."""
        return [text for text, task in self._ready.items() if task.done() and text not in self.failures]

    async def prepare(self, text: str) -> dict[str, Any]:
        """The settled environment, with what needed building built.

        Raises:
            RuntimeEnvSetupError: it can't be made; the message has the tool's last lines.
        """
        if not text:
            return {}
        task = self._ready.get(text)
        if task is None:
            task = self._ready[text] = asyncio.ensure_future(self._make(json.loads(text)))
        try:
            settled = await asyncio.shield(task)
        except exceptions.RuntimeEnvSetupError as error:
            self.failures[text] = error.error_message or str(error)
            self._ready.pop(text, None)  # what failed may not fail the next time
            raise
        self.failures.pop(text, None)
        return settled

    async def _make(self, settled: dict[str, Any]) -> dict[str, Any]:
        if settled.get("pip") or settled.get("uv"):
            settled["built"] = await self._build(settled)
        self._use(settled)
        return settled

    async def _build(self, settled: dict[str, Any]) -> dict[str, str]:
        builder = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "skate.core.environment.build",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            process_group=0,
        )
        seconds = settled.get("timeout", _PATIENCE)
        try:
            said, _ = await asyncio.wait_for(
                builder.communicate(json.dumps(settled).encode()), None if seconds == -1 else seconds
            )
        except TimeoutError:
            raise exceptions.RuntimeEnvSetupError(
                f"it was not built within setup_timeout_seconds={seconds}."
            ) from None
        finally:
            if builder.returncode is None:
                os.killpg(builder.pid, signal.SIGKILL)
                await builder.wait()
        try:
            answer: dict[str, str] = json.loads(said)
        except ValueError:
            answer = {"error": "the process that builds it has ended without an answer."}
        if "error" in answer:
            raise exceptions.RuntimeEnvSetupError(answer["error"])
        return answer

    def _use(self, settled: dict[str, Any]) -> None:
        """Keep what an environment is made of in the cache for as long as the worker lasts."""
        paths = [settled.get("working_dir"), *(settled.get("py_modules") or [])]
        if "built" in settled:
            paths.append(os.path.dirname(os.path.dirname(settled["built"]["python"])))
        for path in paths:
            if path and path not in self._used:
                if not os.path.exists(path):
                    raise exceptions.RuntimeEnvSetupError(
                        f"{path} is not on this machine: directories and modules of a runtime_env must be on a file system that "
                        "the driver and the Dask workers share (set SKATE_ENV_CACHE to a folder there)."
                    )
                self._used[path] = cache.use(path)

    async def close(self) -> None:
        """End the builders, and let go of the cache."""
        for task in self._ready.values():
            task.cancel()
        await asyncio.gather(*self._ready.values(), return_exceptions=True)
        for descriptor in self._used.values():
            os.close(descriptor)
        self._used.clear()
