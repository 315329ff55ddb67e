"""BentoML: the same no-ops, one worker process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Measured
from benchmarks.serve.http import free_port, listening, wrk

if TYPE_CHECKING:
    from benchmarks.session import Session

__all__ = ["batched", "coroutine"]

_PROGRAM = """
import bentoml


@bentoml.service(workers=1, traffic={"max_concurrency": 1000})
class NoOp:
    @bentoml.api
    async def predict(self, input: int) -> int:
        return input

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=10000)
    async def batched(self, inputs: list[int]) -> list[int]:
        return inputs
"""


def _post(body: str) -> str:
    return f"""
wrk.method = "POST"
wrk.body = '{body}'
wrk.headers["Content-Type"] = "application/json"
"""


def coroutine(session: Session) -> dict[str, Measured]:
    """A model that returns what it is given, 1 and 32 connections."""
    return _measure(session, "/predict", '{"input": 1}', {"one": 1, "many": 32})


def batched(session: Session) -> dict[str, Measured]:
    """The same, in batches of up to 32, which wait for as long as BentoML's own rule says."""
    return _measure(session, "/batched", '{"inputs": [1]}', {"many": 32})


def _measure(session: Session, path: str, body: str, rows: dict[str, int]) -> dict[str, Measured]:
    port = free_port()
    Path("noop_service.py").write_text(_PROGRAM)
    command = [sys.executable, "-m", "bentoml", "serve", "noop_service:NoOp", "--port", str(port)]
    process = subprocess.Popen([*command, "--host", "127.0.0.1"])
    found = {}
    with listening(process, port, "/readyz"):
        for name, connections in rows.items():
            seen = wrk(port, connections, session.size(4, 1), path, _post(body))
            found[name] = Measured([seen.seconds])
            found[f"{name}_p50"] = Measured([seen.p50])
            found[f"{name}_p99"] = Measured([seen.p99])
    return found
