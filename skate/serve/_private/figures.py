"""The figures of one process, for Prometheus: counted without a lock on the event loop, and handed on once a second."""

from __future__ import annotations

import asyncio
import bisect
import time

from skate.serve._private.common import ReplicaID
from skate.serve._private.logs import access_line
from skate.util._metric_store import Store
from skate.util.metrics import _merge

_BUCKETS_MS = (
    1.0,
    2.0,
    5.0,
    10.0,
    20.0,
    50.0,
    100.0,
    200.0,
    300.0,
    400.0,
    500.0,
    1e3,
    2e3,
    5e3,
    1e4,
    6e4,
    12e4,
    3e5,
    6e5,
)
_PAUSE = 1.0

_store = Store()
_calls: dict[tuple[ReplicaID, str, bool], list[float]] = {}
"""Milliseconds of requests by replica, route, and whether user code raised, as a histogram's series."""
_http: dict[tuple[str, str, str, int], list[float]] = {}
"""Milliseconds of HTTP requests by route, application, method and status, as a histogram's series."""
_waiting = False


def _flush() -> None:
    global _waiting
    _waiting = False
    _note_calls()
    _note_http()
    _merge(_store.take())


def _changed() -> None:
    global _waiting
    if not _waiting:
        _waiting = True
        asyncio.get_running_loop().call_later(_PAUSE, _flush)


def count(replica: ReplicaID, route: str, method: str, seconds: float, failed: bool) -> None:
    """A replica has answered a request."""
    counts = _calls.get((replica, route, failed))
    if counts is None:
        counts = _calls[replica, route, failed] = [0.0] * (len(_BUCKETS_MS) + 2)
    counts[bisect.bisect_left(_BUCKETS_MS, seconds * 1000)] += 1
    counts[-1] += seconds * 1000
    if not _waiting:
        _changed()
    access_line("CALL", method, "ERROR" if failed else "OK", seconds)


def _note_calls() -> None:
    """Store what `count` has counted."""
    answered = _store.family(
        "counter", "serve_deployment_request_counter", "Requests that replicas have answered."
    )
    latency = _store.family(
        "histogram",
        "serve_deployment_processing_latency_ms",
        "Milliseconds that replicas took for a request.",
        _BUCKETS_MS,
    )
    errors = _store.family("counter", "serve_deployment_error_counter", "Requests in which user code raised.")
    for (replica, route, failed), counts in _calls.items():
        deployment = replica.deployment_id
        tags = (
            ("application", deployment.app_name),
            ("deployment", deployment.name),
            ("replica", replica.unique_id),
            ("route", route),
        )
        number = sum(counts[:-1])
        Store.add(answered, tags, number)
        known = latency.series.get(tags)
        latency.series[tags] = (
            counts if known is None else [a + b for a, b in zip(known, counts, strict=True)]
        )
        if failed:
            Store.add(errors, tags, number)
    _calls.clear()


def count_http(route: str, app: str, method: str, path: str, status: int, started: float) -> None:
    """An HTTP request has been answered; `started` is by `time.perf_counter()`."""
    seconds = time.perf_counter() - started
    counts = _http.get((route, app, method, status))
    if counts is None:
        counts = _http[route, app, method, status] = [0.0] * (len(_BUCKETS_MS) + 2)
    counts[bisect.bisect_left(_BUCKETS_MS, seconds * 1000)] += 1
    counts[-1] += seconds * 1000
    if not _waiting:
        _changed()
    access_line(method, path, status, seconds)


def _note_http() -> None:
    """Store what `count_http` has counted."""
    answered = _store.family("counter", "serve_num_http_requests", "HTTP requests that were answered.")
    latency = _store.family(
        "histogram", "serve_http_request_latency_ms", "Milliseconds that HTTP requests took.", _BUCKETS_MS
    )
    errors = _store.family(
        "counter", "serve_num_http_error_requests", "HTTP requests answered with a status of 400 or more."
    )
    for (route, app, method, status), counts in _http.items():
        tags = (("application", app), ("method", method), ("route", route), ("status_code", str(status)))
        number = sum(counts[:-1])
        Store.add(answered, tags, number)
        latency.series[tags] = counts
        if status >= 400:
            Store.add(errors, tags, number)
    _http.clear()


def count_grpc(app: str, method: str, status: str, started: float) -> None:
    """A gRPC request has been answered; `started` is by `time.perf_counter()`."""
    seconds = time.perf_counter() - started
    tags = (("application", app), ("method", method), ("route", app), ("status_code", status))
    answered = _store.family("counter", "serve_num_grpc_requests", "gRPC requests that were answered.")
    Store.add(answered, tags, 1.0)
    latency = _store.family(
        "histogram", "serve_grpc_request_latency_ms", "Milliseconds that gRPC requests took.", _BUCKETS_MS
    )
    Store.observe(latency, tags, seconds * 1000)
    if status != "OK":
        errors = _store.family(
            "counter", "serve_num_grpc_error_requests", "gRPC requests answered with another status than OK."
        )
        Store.add(errors, tags, 1.0)
    _changed()
    access_line("GRPC", method, status, seconds)
