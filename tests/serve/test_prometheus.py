"""Autoscaling policies that ask Prometheus: a server that answers as it does."""

from __future__ import annotations

import functools
import gc
import json
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from skate.serve.autoscaling_policy import (
    PrometheusQueryMixin,
    PrometheusSample,
    PrometheusScalar,
    PrometheusVector,
)
from tests.serve.conftest import until

_ANSWERS: dict[str, Any] = {
    "scalar(1)": {"resultType": "scalar", "result": [5.0, "7"]},
    "depth": {"resultType": "vector", "result": [{"metric": {"queue": "a"}, "value": [5.0, "3.5"]}]},
    "by_queue": {
        "resultType": "vector",
        "result": [
            {"metric": {"queue": name}, "value": [5.0, value]}
            for name, value in (("a", "1"), ("b", "2"), ("c", "NaN"))
        ],
    },
    "over_time": {"resultType": "matrix", "result": []},
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["query"][0]
        if self.headers.get("X-Token") != "t":
            body: Any = {"status": "error", "error": "who are you?"}
        elif query in _ANSWERS:
            body = {"status": "success", "data": _ANSWERS[query]}
        else:
            body = {"status": "error", "error": "parse error"}
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def prometheus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("RAY_PROMETHEUS_HOST", f"127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("RAY_PROMETHEUS_HEADERS", '[["X-Token", "t"]]')
    yield
    server.shutdown()
    server.server_close()
    thread.join()


class Policy(PrometheusQueryMixin):
    """Half of what waits."""

    def __call__(self, context: Any) -> tuple[float, dict[str, Any]]:
        return (self.prometheus_metrics or {}).get("depth", 0.0) / 2, {}


def test_answers_are_kept_at_hand(prometheus: None) -> None:
    policy = Policy(prometheus_queries=[*_ANSWERS, "no such("], fetch_interval_s=0.05)
    assert policy.prometheus_results is None
    found = until(functools.partial(getattr, policy, "prometheus_results"))
    assert found == {
        "scalar(1)": PrometheusScalar(7.0, 5.0),
        "depth": PrometheusVector((PrometheusSample({"queue": "a"}, 3.5, 5.0),)),
        "by_queue": PrometheusVector(
            (PrometheusSample({"queue": "a"}, 1.0, 5.0), PrometheusSample({"queue": "b"}, 2.0, 5.0))
        ),
    }
    assert policy.prometheus_metrics == {"scalar(1)": 7.0, "depth": 3.5}
    assert policy(None) == (1.75, {})
    with pytest.raises(TypeError):
        found["depth"].samples[0].labels["queue"] = "z"
    thread = policy._answers._thread
    assert thread is not None
    del policy
    gc.collect()
    until(lambda: not thread.is_alive())


def test_without_prometheus_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_PROMETHEUS_HOST", raising=False)
    policy = Policy(prometheus_queries=["depth"])
    assert (policy.prometheus_results, policy.prometheus_metrics) == (None, None)
    monkeypatch.setenv("RAY_PROMETHEUS_HEADERS", '{"a": 1}')
    with pytest.raises(ValueError, match="string keys and values"):
        Policy()
