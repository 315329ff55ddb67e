"""OpenTelemetry spans around calls."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.api import launch, ray
from tests.support import wait_until

pytest.importorskip("opentelemetry.sdk")

_HOOK = """
import json, os
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

def line(span):
    parent = span.parent and span.parent.span_id
    return json.dumps([span.name, dict(span.attributes), span.context.span_id, parent, span.context.trace_id,
                       span.status.status_code.name]) + "\\n"

def setup():
    provider = TracerProvider()
    out = open(os.path.join(os.environ["SPANS"], f"{os.getpid()}.txt"), "a", buffering=1)
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=out, formatter=line)))
    provider.out = out
    trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE._done = None, False
    trace.set_tracer_provider(provider)
"""


@ray.remote
def outer(x: int) -> Any:
    return ray.get(inner.remote(x))


@ray.remote
def inner(x: int) -> int:
    return x + 1


@ray.remote
def count(n: int) -> Any:
    yield from range(n)


@ray.remote(num_cpus=0)
class Server:
    def __init__(self, base: int = 10) -> None:
        self.base = base

    def add(self, x: int) -> int:
        return self.base + x

    def fail(self) -> None:
        raise ValueError("no")


@ray.remote(num_cpus=0)
class AsyncServer:
    async def add(self, x: int) -> int:
        return x


def test_spans_follow_the_calls(session: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray.shutdown()
    (tmp_path / "skate_trace_hook.py").write_text(_HOOK)
    monkeypatch.setenv("SPANS", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    launch(session, _tracing_startup_hook="skate_trace_hook:setup")
    try:
        assert ray.get(outer.remote(1), timeout=30) == 2
        assert [ray.get(ref) for ref in count.remote(2)] == [0, 1]
        server, other = Server.remote(base=5), AsyncServer.remote()
        assert ray.get([server.add.remote(1), other.add.remote(x=2)], timeout=30) == [6, 2]
        with pytest.raises(ValueError, match="no"):
            ray.get(server.fail.remote(), timeout=30)

        def spans() -> dict[str, Any]:
            lines = [line for file in tmp_path.glob("*.txt") for line in file.read_text().splitlines()]
            return {span[0]: span for span in map(json.loads, lines)}

        wait_until(lambda: "Server.fail ray.remote_worker" in spans(), what="the last span")
        found = spans()
    finally:
        ray.shutdown()
        from opentelemetry import trace

        provider: Any = trace.get_tracer_provider()
        provider.out.close()
        sys.modules.pop("skate_trace_hook", None)
        launch(session)
    module = outer._function.__module__
    names = [f"{module}.outer", f"{module}.inner", f"{module}.count", "Server.__init__", "Server.add"]
    for name in [*names, "AsyncServer.add", "Server.fail"]:
        caller, worker = found[f"{name} ray.remote"], found[f"{name} ray.remote_worker"]
        assert worker[3] == caller[2], name
        assert worker[4] == caller[4], name
    assert found[f"{module}.inner ray.remote"][3] == found[f"{module}.outer ray.remote_worker"][2]
    assert found["Server.fail ray.remote_worker"][5] == "ERROR"
    facts = found["Server.add ray.remote"][1]
    assert facts["ray.function"] == "Server.add"
    assert facts["ray.remote"] == "actor"
    assert facts["ray.pid"] == str(os.getpid())


@pytest.mark.parametrize("hook", ["nothing", "no.such.module:setup", "os:no_such_function"])
def test_a_hook_that_cannot_be_loaded(session: str, hook: str) -> None:
    start: Callable[..., Any] = launch
    ray.shutdown()
    try:
        with pytest.raises(ValueError, match="_tracing_startup_hook"):
            start(session, _tracing_startup_hook=hook)
        assert not ray.is_initialized()
    finally:
        launch(session)
