"""Progress bars."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from tests.conformance.api import ray, submodule
from tests.support import wait_until

bars = submodule("experimental.tqdm_ray")


def test_a_bar_counts() -> None:
    bar = bars.tqdm(total=10, desc="rows", unit="row")
    bar.update(3)
    bar.set_description("more rows")
    bar.update()
    bar.refresh()
    assert (bar.n, bar.total) == (4, 10)
    bar.close()
    bar.close()


def test_a_loop() -> None:
    bar = bars.tqdm([1, 2, 3])
    assert bar.total == 3
    assert list(bar) == [1, 2, 3]
    assert bar.n == 3
    assert list(bars.tqdm(iter("ab"))) == ["a", "b"]
    with pytest.raises(ValueError, match="without an iterable"):
        list(bars.tqdm(total=3))


def test_bars_of_workers_are_shown_by_the_driver(session: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if session == "dask":
        pytest.skip("what Dask's workers print stays with them")
    states: list[dict[str, Any]] = []
    lock = threading.Lock()

    def note(state: dict[str, Any]) -> None:
        with lock:
            states.append(state)

    monkeypatch.setattr(bars.instance(), "process_state_update", note)

    @ray.remote
    def work(name: str) -> int:
        return sum(bars.tqdm(range(5), desc=name))

    assert ray.get([work.remote("one"), work.remote("two")]) == [10, 10]
    wait_until(lambda: sum(state["closed"] for state in states) == 2, what="two bars to end")
    ended = {state["desc"]: state["x"] for state in states if state["closed"]}
    assert ended == {"one": 5, "two": 5}


def test_what_workers_print_is_printed(session: str, capfd: pytest.CaptureFixture[str]) -> None:
    if session == "dask":
        pytest.skip("what Dask's workers print stays with them")

    @ray.remote
    def work() -> None:
        print("before")
        for _ in bars.tqdm(range(2), flush_interval_s=0):
            pass
        bars.safe_print("after")
        sys.stdout.flush()

    ray.get(work.remote())
    seen: list[str] = []

    def everything() -> str:
        seen.append(capfd.readouterr().out)
        return "".join(seen)

    wait_until(lambda: "after" in everything(), what="the output")
    assert "before" in everything()
    assert bars.RAY_TQDM_MAGIC not in everything()


def test_bars_are_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    for _ in bars.tqdm(range(3), desc="drawn", flush_interval_s=0):
        bars.safe_print("hello")
    shown = capsys.readouterr()
    assert shown.out == "hello\n" * 3
    assert "drawn" in shown.err
