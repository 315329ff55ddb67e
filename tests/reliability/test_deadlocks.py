"""Nothing hangs in silence: deadlocks are raised, and long waits are spoken of."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import skate
from skate.exceptions import DeadlockError, RayTaskError
from tests.support import wait_until


@pytest.fixture(autouse=True)
def session() -> None:
    """Two CPUs and one X; waits are spoken of after half a second."""
    skate.init(num_cpus=2, resources={"X": 1}, engine="local", _system_config={"wait_warning_seconds": 0.5})
    skate.get(pause.remote(0), timeout=30)  # the first task waits for processes to start


@skate.remote
class Caller:
    def direct(self, other: Any) -> Any:
        return skate.get(other.answer.remote())

    def by_way_of(self, other: Any, me: Any) -> Any:
        return skate.get(other.direct.remote(me))

    def some(self, me: Any) -> Any:
        return skate.wait([me.answer.remote(), me.answer.remote()], num_returns=2)

    def answer(self) -> int:
        return 1


@skate.remote
def pause(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def deadlock(ref: Any) -> str:
    """What the error says; that it comes within seconds, and is what it should be."""
    with pytest.raises(DeadlockError) as caught:
        skate.get(ref, timeout=30)
    assert isinstance(caught.value, RuntimeError) and isinstance(caught.value, RayTaskError)
    return str(caught.value)


def test_an_actor_that_waits_for_itself() -> None:
    caller = Caller.remote()
    text = deadlock(caller.direct.remote(caller))
    assert re.search(
        r"Caller\.direct \(pid \d+\) waits for Caller\.answer at \S+test_deadlocks\.py:\d+ in direct", text
    )
    assert skate.get(caller.answer.remote()) == 1  # the actor goes on


def test_two_actors_that_wait_for_each_other() -> None:
    one, other = Caller.remote(), Caller.remote()
    text = deadlock(one.by_way_of.remote(other, one))
    assert "Caller.by_way_of" in text and "Caller.direct" in text
    assert skate.get([one.answer.remote(), other.answer.remote()]) == [1, 1]


def test_waiting_for_several_by_wait() -> None:
    caller = Caller.remote()
    assert "Caller.some" in deadlock(caller.some.remote(caller))


def test_a_task_that_holds_what_the_task_it_waits_for_needs() -> None:
    @skate.remote(resources={"X": 1})
    def inner() -> int:
        return 1

    @skate.remote(resources={"X": 1})
    def holder() -> Any:
        return skate.get(inner.remote())

    assert "holder" in deadlock(holder.remote())
    assert skate.get(inner.remote()) == 1


def test_threads_that_all_wait_for_the_next() -> None:
    pair = Caller.options(max_concurrency=2).remote()
    assert skate.get(pair.direct.remote(pair)) == 1
    refs = [pair.direct.remote(pair) for _ in range(2)]
    # Both wait for a third; one of them is told, and the other can go on then.
    ended = []
    for ref in refs:
        try:
            ended.append(skate.get(ref, timeout=30))
        except DeadlockError:
            ended.append(None)
    assert sorted(ended, key=str) in ([1, None], [None, 1], [1, 1])


def test_long_waits_that_end_are_no_deadlocks() -> None:
    @skate.remote
    def nested(depth: int) -> float:
        ref = nested.remote(depth - 1) if depth else pause.remote(2.5)
        return float(skate.get(ref))

    assert skate.get(nested.remote(4)) == 2.5


class Listener(logging.Handler):
    """Lets tasks that wait for `path` go on when a long wait has been spoken of."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        self.path.touch()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    found = Listener(tmp_path / "spoken of")
    logging.getLogger("skate").addHandler(found)
    yield found
    logging.getLogger("skate").removeHandler(found)


@skate.remote
def wait_for(path: Path, started: Path | None = None) -> None:
    if started is not None:
        started.touch()
    wait_until(path.exists, 60)


def test_a_long_wait_is_spoken_of_once(listener: Listener) -> None:
    skate.get(wait_for.options(name="long").remote(listener.path))
    skate.get(skate.put(1))
    (text,) = listener.said
    assert re.search(r"has waited for 0\.5 s for a result, at \S+test_deadlocks\.py:\d+ in test_a_long", text)
    assert "wait_for runs" in text


def test_a_wait_for_resources_says_so(listener: Listener, tmp_path: Path) -> None:
    busy = wait_for.options(resources={"X": 1}).remote(listener.path, tmp_path / "started")
    wait_until((tmp_path / "started").exists, 30, "the task that holds X")
    skate.get(pause.options(resources={"X": 1}, num_cpus=0).remote(0))
    assert any("waits for a worker with {'X': 1.0}" in text for text in listener.said)
    skate.get(busy)


def test_a_long_wait_for_a_generator_is_spoken_of_too(listener: Listener) -> None:
    @skate.remote(num_returns="streaming")
    def slow(path: Path) -> Any:
        wait_until(path.exists, 60)
        yield 1

    items = slow.remote(listener.path)
    ready, _ = skate.wait([items], timeout=60)
    assert ready == [items] and skate.get(next(items)) == 1
    assert any("has waited for 0.5 s for a result" in text for text in listener.said)
