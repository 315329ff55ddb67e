"""Metrics: what is recorded anywhere in a session is added up."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.api import ray, submodule
from tests.support import wait_until

metrics = submodule("util.metrics")


def samples() -> dict[str, float]:
    """Every line of the text that is no comment."""
    text = metrics.prometheus_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def wait_for(name: str, value: float) -> None:
    wait_until(lambda: samples().get(name) == value, what=f"{name} {value}")


def test_a_counter_of_the_driver() -> None:
    counter = metrics.Counter("drv_calls", "Calls\nmade.", tag_keys=("route",))
    counter.inc(tags={"route": "/a"})
    counter.inc(2.5, tags={"route": "/a"})
    counter.inc(tags={"route": 'q"\\'})
    found = samples()
    assert found['ray_drv_calls_total{route="/a"}'] == 3.5
    assert found['ray_drv_calls_total{route="q\\"\\\\"}'] == 1
    text = metrics.prometheus_text(prefix="")
    assert "# HELP drv_calls_total Calls\\nmade.\n# TYPE drv_calls_total counter\n" in text


def test_counts_of_all_processes_are_added() -> None:
    @ray.remote
    def work(amount: int) -> None:
        metrics.Counter("work_done", tag_keys=("kind",)).inc(amount, tags={"kind": "x"})

    ray.get([work.remote(amount) for amount in range(1, 11)])
    metrics.Counter("work_done", tag_keys=("kind",)).inc(100, tags={"kind": "x"})
    wait_for('ray_work_done_total{kind="x"}', 155)


def test_an_actor_keeps_its_metrics() -> None:
    @ray.remote(num_cpus=0)
    class Server:
        def __init__(self, counter: Any) -> None:
            self.counter = counter.set_default_tags({"server": "one"})
            self.level = metrics.Gauge("server_level")
            self.times = metrics.Histogram("server_times", boundaries=[1, 10])

        def serve(self, seconds: float) -> None:
            self.counter.inc()
            self.level.set(seconds)
            self.times.observe(seconds)

    server = Server.remote(metrics.Counter("server_calls", tag_keys=("server",)))
    ray.get([server.serve.remote(seconds) for seconds in (0.5, 1, 2, 20, 3)])
    wait_for('ray_server_calls_total{server="one"}', 5)
    found = samples()
    assert found["ray_server_level"] == 3
    assert found['ray_server_times_bucket{le="1.0"}'] == 2
    assert found['ray_server_times_bucket{le="10.0"}'] == 4
    assert found['ray_server_times_bucket{le="+Inf"}'] == found["ray_server_times_count"] == 5
    assert found["ray_server_times_sum"] == 26.5


def test_the_latest_value_of_a_gauge_counts() -> None:
    gauge = metrics.Gauge("latest")
    gauge.set(1)
    gauge.set(7)
    gauge.set(None)
    assert samples()["ray_latest"] == 7

    @ray.remote
    def set_it(value: float) -> None:
        metrics.Gauge("latest").set(value)

    ray.get(set_it.remote(8))
    wait_for("ray_latest", 8)


def test_text_is_well_formed() -> None:
    metrics.Histogram("form", "A form.", boundaries=[0.1, 2], tag_keys=("a",)).observe(1, {"a": "b"})
    sample = re.compile(r'[a-zA-Z_:][\w:]*(\{\w+="([^"\\]|\\.)*"(,\w+="([^"\\]|\\.)*")*\})? [-+.\w]+')
    for line in metrics.prometheus_text().splitlines():
        assert line.startswith(("# HELP ", "# TYPE ")) or sample.fullmatch(line), line


def test_info_and_defaults() -> None:
    counter = metrics.Counter("told", "What.", tag_keys=("a", "b"))
    assert counter.set_default_tags({"a": "1"}) is counter
    assert counter.info == {
        "name": "told",
        "description": "What.",
        "tag_keys": ("a", "b"),
        "default_tags": {"a": "1"},
    }
    counter.inc(tags={"b": "2", "ignored": "x"})
    assert samples()['ray_told_total{a="1",b="2"}'] == 1
    assert metrics.Histogram("h", boundaries=[1, 2]).info["boundaries"] == [1, 2]


def test_a_name_that_prometheus_does_not_take() -> None:
    with pytest.warns(UserWarning, match="odd-name"):
        counter = metrics.Counter("odd-name")
    counter.inc()
    assert samples()["ray_odd_name_total"] == 1


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (lambda: metrics.Counter(""), ValueError, "Empty name"),
        (lambda: metrics.Counter(3), TypeError, "name=3"),
        (lambda: metrics.Counter("a", tag_keys=["x"]), TypeError, "tag_keys should be a tuple"),
        (lambda: metrics.Counter("a", tag_keys=(1,)), TypeError, "Tag keys must be str"),
        (lambda: metrics.Counter("a", tag_keys=("x",)).inc(), ValueError, "Missing value for tag key"),
        (lambda: metrics.Counter("a").inc(0), ValueError, "value must be >0"),
        (lambda: metrics.Counter("a").inc("1"), TypeError, "value must be int or float"),
        (lambda: metrics.Counter("a", tag_keys=("x",)).inc(1, {"x": 1}), TypeError, "Tag values must be str"),
        (lambda: metrics.Counter("a").set_default_tags({"x": "1"}), ValueError, "Unrecognized tag key x"),
        (lambda: metrics.Gauge("a").set("1"), TypeError, "value must be int or float"),
        (lambda: metrics.Histogram("a"), ValueError, "boundaries argument should be provided"),
        (lambda: metrics.Histogram("a", boundaries=[0, 1]), ValueError, "Use positive values"),
        (lambda: metrics.Histogram("a", boundaries=[1]).observe(None), TypeError, "int or float"),
    ],
)
def test_what_is_wrong_is_said(wrong: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        wrong()
