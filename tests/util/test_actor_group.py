"""Actors that are made, called and ended together; timers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import skate
from skate.util.timer import _Timer
from tests.leaks import guard

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from skate.util.actor_group import ActorGroup


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    """One session for the file."""
    skate.shutdown()
    with guard.window(), skate.init(num_cpus=2):
        yield


class Adder:
    def __init__(self, base: int, more: int = 0) -> None:
        self.base = base + more

    def add(self, x: int) -> int:
        return self.base + x


@pytest.fixture
def group() -> Iterator[Any]:
    """Two actors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = ActorGroup(Adder, num_actors=2, num_cpus_per_actor=0, init_args=(1,), init_kwargs={"more": 1})
    yield made
    made.shutdown(0)


def test_calls_reach_every_actor(group: Any) -> None:
    assert len(group) == 2
    assert skate.get(group.add.remote(3)) == [5, 5]
    assert skate.get(group[0].actor.add.remote(1)) == 3
    with pytest.raises(TypeError, match="remote"):
        group.add(3)


def test_actors_come_and_go_and_say_where_they_are(group: Any) -> None:
    here = skate.get_runtime_context().get_node_id()
    assert [each.node_id for each in group.actor_metadata] == [here] * 2
    group.add_actors(1)
    group.remove_actors([0])
    assert skate.get(group.add.remote(0)) == [2, 2]
    with pytest.raises(RuntimeError, match="already"):
        group.start()
    group.shutdown()
    assert len(group) == 0
    group.start()
    assert len(group) == 2


@pytest.mark.parametrize("wrong", [{"num_actors": 0}, {"num_cpus_per_actor": -1}, {"num_gpus_per_actor": -1}])
def test_bad_arguments(wrong: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="Received"):
            ActorGroup(Adder, **wrong)


def test_a_timer_gives_means_of_the_last_blocks() -> None:
    timer = _Timer(window_size=2)
    assert timer.mean == timer.mean_throughput == timer.mean_units_processed == 0
    for seconds in (9.0, 1.0, 3.0):
        timer.push(seconds)
    timer.push_units_processed(8)
    assert (timer.count, timer.mean, timer.mean_throughput, timer.has_units_processed()) == (
        3,
        2.0,
        2.0,
        True,
    )
    with timer:
        pass
    assert timer.count == 4
