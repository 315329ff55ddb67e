"""LitServe: the same no-ops, one worker process."""

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
import sys
import litserve


class NoOp(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        return request["input"]

    def predict(self, x):
        return x

    def encode_response(self, output):
        return {"output": output}


if __name__ == "__main__":
    batch, wait = int(sys.argv[2]), float(sys.argv[3])
    api = NoOp(max_batch_size=batch, batch_timeout=wait)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="error", generate_client_file=False)
"""

_POST = """
wrk.method = "POST"
wrk.body = '{"input": 1}'
wrk.headers["Content-Type"] = "application/json"
"""


def coroutine(session: Session) -> dict[str, Measured]:
    """A model that returns what it is given, 1 and 32 connections."""
    return _measure(session, 1, 0.0, {"one": 1, "many": 32})


def batched(session: Session) -> dict[str, Measured]:
    """The same, in batches of 32 that wait for 10 ms."""
    return _measure(session, 32, 0.01, {"many": 32})


def _measure(session: Session, batch: int, wait: float, rows: dict[str, int]) -> dict[str, Measured]:
    port = free_port()
    Path("noop_server.py").write_text(_PROGRAM)  # its processes import it
    process = subprocess.Popen([sys.executable, "noop_server.py", str(port), str(batch), str(wait)])
    found = {}
    with listening(process, port, "/health"):
        for name, connections in rows.items():
            seen = wrk(port, connections, session.size(4, 1), "/predict", _POST)
            found[name] = Measured([seen.seconds])
            found[f"{name}_p50"] = Measured([seen.p50])
            found[f"{name}_p99"] = Measured([seen.p99])
    return found
