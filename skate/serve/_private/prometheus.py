"""What Prometheus answers, for autoscaling policies: asked by a thread of its own, so that no decision waits for the network."""

from __future__ import annotations

import json
import math
import os
import threading
import time
import urllib.parse
import urllib.request
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from skate.serve._private.logs import logger

_ANSWER_S = 5.0


@dataclass(frozen=True)
class PrometheusScalar:
    """A number, and when it held, in seconds."""

    value: float
    timestamp: float


@dataclass(frozen=True)
class PrometheusSample:
    """A number with labels, and when it held, in seconds."""

    labels: Mapping[str, str]
    value: float
    timestamp: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", MappingProxyType(dict(self.labels)))


@dataclass(frozen=True)
class PrometheusVector:
    """Numbers that differ in their labels."""

    samples: tuple[PrometheusSample, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", tuple(self.samples))


PrometheusQueryResult = PrometheusScalar | PrometheusVector


class PrometheusQueryMixin:
    """Keeps answers of Prometheus at hand for an autoscaling policy that is a class.

    The first look at them starts a thread that asks every `fetch_interval_s` seconds, until nobody refers to the policy any more. A look
    never waits: until there is an answer, and when the last one is older than `cache_ttl_s`, there is None. A query that fails, or has no
    answer, is left out and logged.

    Args:
        prometheus_address: Where it listens, as "host:port" or a URL; default: the environment's RAY_PROMETHEUS_HOST. Headers are those of
            RAY_PROMETHEUS_HEADERS, a JSON object of texts or a list of pairs.
        prometheus_queries: What is asked, in PromQL.
        fetch_interval_s: Seconds between two rounds.
        cache_ttl_s: How old an answer may be, in seconds.

    Raises:
        ValueError: the headers are of another form.

    Example:
        ```python
        DEPTH = "sum(my_queue_depth)"

        class ByDepth(PrometheusQueryMixin):
            def __init__(self):
                super().__init__(prometheus_queries=[DEPTH])

            def __call__(self, ctx):
                depth = (self.prometheus_metrics or {}).get(DEPTH)
                return (ctx.target_num_replicas if depth is None else depth / 10), {}
        ```
    """

    def __init__(
        self,
        *,
        prometheus_address: str | None = None,
        prometheus_queries: list[str] | None = None,
        fetch_interval_s: float = 5.0,
        cache_ttl_s: float = 15.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        address = prometheus_address or os.environ.get("RAY_PROMETHEUS_HOST")
        headers = _headers(os.environ.get("RAY_PROMETHEUS_HEADERS", "{}"))
        self._cache_ttl_s = cache_ttl_s
        self._answers = _Answers(address, list(prometheus_queries or []), headers, fetch_interval_s)
        weakref.finalize(self, self._answers.stop.set)

    @property
    def prometheus_results(self) -> dict[str, PrometheusQueryResult] | None:
        """The last answers by query; None: there are none, or they are too old."""
        return self._answers.read(self._cache_ttl_s)

    @property
    def prometheus_metrics(self) -> dict[str, float] | None:
        """Those of the answers that are one number."""
        found = self.prometheus_results or {}
        return {query: value for query, one in found.items() if (value := _number(one)) is not None} or None


class _Answers:
    """What the thread shares with the policy; it does not refer to the policy, which may go."""

    def __init__(
        self, address: str | None, queries: list[str], headers: dict[str, str], interval: float
    ) -> None:
        self._address = address
        self._queries = queries
        self._headers = headers
        self._interval = interval
        self._lock = threading.Lock()
        self._found: tuple[float, dict[str, PrometheusQueryResult]] | None = None
        self._thread: threading.Thread | None = None
        self.stop = threading.Event()

    def read(self, oldest: float) -> dict[str, PrometheusQueryResult] | None:
        with self._lock:
            if self._thread is None and self._address and self._queries:
                self._thread = threading.Thread(target=self._run, name="prometheus", daemon=True)
                self._thread.start()
            if self._found is None or time.monotonic() - self._found[0] > oldest:
                return None
            return dict(self._found[1])

    def _run(self) -> None:
        assert self._address is not None
        while not self.stop.is_set():
            found = {}
            for query in self._queries:
                try:
                    answer = ask(self._address, query, self._headers)
                except (OSError, ValueError) as error:
                    logger.warning("Prometheus did not answer %r: %s", query, error)
                else:
                    if answer is not None:
                        found[query] = answer
            with self._lock:
                self._found = (time.monotonic(), found) if found else None
            self.stop.wait(self._interval)


def ask(address: str, query: str, headers: Mapping[str, str]) -> PrometheusQueryResult | None:
    """One answer; None if there is no finite number in it.

    Raises:
        OSError: it can't be reached.
        ValueError: it refuses the query, or answers in another form.
    """
    base = address.rstrip("/")
    if not base.startswith(("http://", "https://")):
        base = f"http://{base}"
    if not base.endswith("/api/v1/query"):
        base += "/api/v1/query"
    url = f"{base}?{urllib.parse.urlencode({'query': query})}"
    with urllib.request.urlopen(
        urllib.request.Request(url, headers=dict(headers)), timeout=_ANSWER_S
    ) as response:
        body = json.load(response)
    if not isinstance(body, dict) or body.get("status") != "success":
        raise ValueError(f"the query failed: {body.get('error', body) if isinstance(body, dict) else body}")
    data = body["data"]
    if data["resultType"] == "scalar":
        pair = _pair(data["result"])
        return None if pair is None else PrometheusScalar(pair[1], pair[0])
    if data["resultType"] != "vector":
        raise ValueError(f"the answer is a {data['resultType']}: ask for a scalar or an instant vector.")
    samples = []
    for each in data["result"]:
        if "value" not in each:
            raise ValueError("the answer is a native histogram: ask for a number of it.")
        pair = _pair(each["value"])
        if pair is not None:
            samples.append(PrometheusSample(each.get("metric", {}), pair[1], pair[0]))
    return PrometheusVector(tuple(samples))


def _pair(given: Any) -> tuple[float, float] | None:
    """A time and a value; None if the value is none, as that of an empty range."""
    if not isinstance(given, list) or len(given) != 2:
        raise ValueError(f"a sample is a time and a value, got {given!r}.")
    when, value = float(given[0]), float(given[1])
    return (when, value) if math.isfinite(value) else None


def _number(answer: PrometheusQueryResult) -> float | None:
    if isinstance(answer, PrometheusScalar):
        return answer.value
    return answer.samples[0].value if len(answer.samples) == 1 else None


def _headers(given: str) -> dict[str, str]:
    found = json.loads(given)
    if isinstance(found, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in found):
        found = dict(found)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError(
            "RAY_PROMETHEUS_HEADERS must be a JSON object with string keys and values, or a JSON list of [name, value] pairs, got "
            f"{given!r}."
        )
    return found
