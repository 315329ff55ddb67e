"""No-ops over HTTP: what is measured is all that serving costs beyond the model."""

from __future__ import annotations

import contextlib
import importlib
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Measured, check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.session import Session

__all__ = ["answer", "batched", "composed", "coroutine", "plain", "serving", "wrk"]

_BARE = """
import sys, uvicorn
from starlette.responses import PlainTextResponse

async def app(scope, receive, send):
    await PlainTextResponse("ok")(scope, receive, send)

uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="error")
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def wrk(port: int, connections: int, seconds: int) -> tuple[int, float]:
    """Ask for so many seconds; returns how many requests were answered, and the seconds each took of the whole."""
    program = shutil.which("wrk")
    if program is None:
        raise RuntimeError("wrk is needed to drive HTTP: install it with the system's package manager.")
    command = [program, "-t1", f"-c{connections}", f"-d{seconds}s", f"http://127.0.0.1:{port}/"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    count = re.search(r"(\d+) requests in", text)
    check("Non-2xx" in text or rate is None or count is None, False)
    assert rate is not None
    assert count is not None
    return int(count[1]), 1 / float(rate[1])


def _wrk(session: Session, port: int, connections: int) -> float:
    """Seconds a request."""
    return wrk(port, connections, session.size(4, 1))[1]


def answer(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as response:
        body: bytes = response.read()
        return body


@contextlib.contextmanager
def _uvicorn() -> Iterator[int]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", _BARE, str(port)])
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                check(answer(port), b"ok")
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def serving(session: Session, make: Any) -> Iterator[tuple[Any, int, float]]:
    """An application that runs: its handle, its port, and the seconds from `run` to the first answer."""
    module = session.load()
    serve = importlib.import_module(f"{module.__name__}.serve")
    more = {"preload": ["skate.serve.preload"]} if module.__name__ == "skate" else {}
    port = free_port()
    module.init(num_cpus=4, **more)
    try:
        serve.start(http_options={"port": port})
        app = make(serve)
        began = time.perf_counter()
        handle = serve.run(app)
        check(answer(port), b"ok")
        yield handle, port, time.perf_counter() - began
        serve.shutdown()
    finally:
        module.shutdown()


def coroutine(session: Session) -> dict[str, Measured]:
    """A coroutine that returns two characters, next to bare uvicorn."""

    def make(serve: Any) -> Any:
        @serve.deployment
        class NoOp:
            async def __call__(self, request: Any) -> str:
                return "ok"

        made: Any = NoOp
        return made.bind()

    with serving(session, make) as (_, port, start):
        ours = {count: _wrk(session, port, count) for count in (1, 32)}
    bare: dict[int, list[float]] = {1: [], 32: []}
    if session.system == "skate":
        with _uvicorn() as port:
            bare = {count: [_wrk(session, port, count)] for count in (1, 32)}
    return {
        "one": Measured([ours[1]], bare[1]),
        "many": Measured([ours[32]], bare[32]),
        "start": Measured([start]),
    }


def plain(session: Session) -> dict[str, Measured]:
    """A plain method that returns two characters."""

    def make(serve: Any) -> Any:
        @serve.deployment
        class NoOp:
            def __call__(self, request: Any) -> str:
                return "ok"

        made: Any = NoOp
        return made.bind()

    with serving(session, make) as (_, port, _start):
        return {"many": Measured([_wrk(session, port, 32)])}


def composed(session: Session) -> dict[str, Measured]:
    """A deployment that awaits another's answer."""

    def make(serve: Any) -> Any:
        @serve.deployment
        class Inner:
            async def __call__(self) -> str:
                return "ok"

        @serve.deployment
        class Outer:
            def __init__(self, inner: Any) -> None:
                self.inner = inner

            async def __call__(self, request: Any) -> Any:
                return await self.inner.remote()

        outer: Any = Outer
        inner: Any = Inner
        return outer.bind(inner.bind())

    with serving(session, make) as (_, port, _start):
        return {"one": Measured([_wrk(session, port, 1)]), "many": Measured([_wrk(session, port, 32)])}


def batched(session: Session) -> dict[str, Measured]:
    """A trivial model that waits 10 ms for a batch of 32."""

    def make(serve: Any) -> Any:
        @serve.deployment(max_ongoing_requests=64)
        class Batched:
            @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.01)  # type: ignore[untyped-decorator]
            async def predict(self, requests: list[Any]) -> list[str]:
                return ["ok"] * len(requests)

            async def __call__(self, request: Any) -> Any:
                return await self.predict(request)

        made: Any = Batched
        return made.bind()

    with serving(session, make) as (_, port, _start):
        return {"many": Measured([_wrk(session, port, 32)])}
