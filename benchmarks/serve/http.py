"""No-ops over HTTP: what is measured is all that serving costs beyond the model."""

from __future__ import annotations

import contextlib
import importlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.measure import Measured, check
from benchmarks.processes import memory_of_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.session import Session

__all__ = [
    "Answers",
    "answer",
    "batched",
    "composed",
    "coroutine",
    "free_port",
    "listening",
    "plain",
    "replicas",
    "serving",
    "vectorised",
    "wrk",
]

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


class Answers(NamedTuple):
    """What `wrk` has seen: how many answers, and the seconds each took of the whole, at the median, at the 99th percentile."""

    number: int
    seconds: float
    p50: float
    p99: float


_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


def wrk(port: int, connections: int, seconds: int, path: str = "/", script: str | None = None) -> Answers:
    """Ask for so many seconds.

    Raises:
        RuntimeError: `wrk` is not installed, or an answer was an error.

    """
    program = shutil.which("wrk")
    if program is None:
        raise RuntimeError("wrk is needed to drive HTTP: install it with the system's package manager.")
    command = [
        program,
        "--latency",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        f"http://127.0.0.1:{port}{path}",
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        if script is not None:
            file.write(script)
            file.flush()
            command += ["-s", file.name]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    check("Non-2xx" in text, False)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+)", text)
    check(
        errors is not None and any(int(count) for count in errors.groups()), False
    )  # slow answers are no errors
    return Answers(
        int(_found(r"(\d+) requests in", text)[0]),
        1 / float(_found(r"Requests/sec:\s+([\d.]+)", text)[0]),
        *(_time(_found(rf"{percent}%\s+([\d.]+)(us|ms|s|m)\b", text)) for percent in (50, 99)),
    )


def _found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"wrk's output has no {pattern!r}: {text!r:.500}")
    return match.groups()


def _time(found: tuple[str, ...]) -> float:
    number, unit = found
    return float(number) * _UNITS[unit]


def _wrk(session: Session, port: int, connections: int) -> Answers:
    return wrk(port, connections, session.size(4, 1))


def answer(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as response:
        body: bytes = response.read()
        return body


@contextlib.contextmanager
def listening(process: subprocess.Popen[bytes], port: int, path: str = "/") -> Iterator[int]:
    """Wait until a server's process answers with a 200; it is ended with the block."""
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30):
                    break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _uvicorn() -> Iterator[int]:
    port = free_port()
    with listening(subprocess.Popen([sys.executable, "-c", _BARE, str(port)]), port):
        check(answer(port), b"ok")
        yield port


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
        memory = memory_of_run()
        ours = {count: _wrk(session, port, count) for count in (1, 32)}
    bare: dict[int, list[Answers]] = {1: [], 32: []}
    if session.system == "skate":
        with _uvicorn() as port:
            bare = {count: [_wrk(session, port, count)] for count in (1, 32)}
    found = {"start": Measured([start]), "pss": Measured([float(memory.pss)])}
    for name, count in (("one", 1), ("many", 32)):
        found[name] = Measured([ours[count].seconds], [one.seconds for one in bare[count]])
        found[f"{name}_p50"] = Measured([ours[count].p50], [one.p50 for one in bare[count]])
        found[f"{name}_p99"] = Measured([ours[count].p99], [one.p99 for one in bare[count]])
    return found


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
        return {"many": Measured([_wrk(session, port, 32).seconds])}


def replicas(session: Session) -> dict[str, Measured]:
    """A coroutine that returns two characters, in two replicas behind one proxy."""

    def make(serve: Any) -> Any:
        @serve.deployment(num_replicas=2)
        class NoOp:
            async def __call__(self, request: Any) -> str:
                return "ok"

        made: Any = NoOp
        return made.bind()

    with serving(session, make) as (_, port, _start):
        return {
            name: Measured([_wrk(session, port, count).seconds]) for name, count in (("one", 1), ("many", 32))
        }


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
        return {
            name: Measured([_wrk(session, port, count).seconds]) for name, count in (("one", 1), ("many", 32))
        }


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
        return {"many": Measured([_wrk(session, port, 32).seconds])}


def vectorised(session: Session) -> dict[str, Measured]:
    """A forest of scikit-learn, which costs about as much for a batch as for one row: in batches, and one by one."""

    def make(serve: Any) -> Any:
        @serve.deployment(max_ongoing_requests=64)
        class Forest:
            def __init__(self) -> None:
                ensemble = importlib.import_module("sklearn.ensemble")
                numpy = importlib.import_module("numpy")
                self.rows = numpy.random.default_rng(0).random((64, 8))
                self.model = ensemble.RandomForestClassifier(20, max_depth=6, random_state=0)
                self.model.fit(self.rows, self.rows[:, 0] > 0.5)

            def answers(self, count: int) -> list[str]:
                return ["ok" for _ in self.model.predict(self.rows[:count])]

            @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.002)  # type: ignore[untyped-decorator]
            async def together(self, requests: list[Any]) -> list[str]:
                return self.answers(len(requests))

            async def __call__(self, request: Any) -> Any:
                if request.url.path == "/alone":
                    return self.answers(1)[0]
                return await self.together(request)

        made: Any = Forest
        return made.bind()

    with serving(session, make) as (_, port, _start):
        alone = wrk(port, 32, session.size(4, 1), "/alone")
        together = _wrk(session, port, 32)
    return {"many": Measured([together.seconds], [alone.seconds])}
