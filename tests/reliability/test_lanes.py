"""Shapes of tasks that are not used any more are forgotten, and used again when they come back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import skate
from skate.core import runtime
from skate.engine.local.client.lanes import KEPT
from skate.util.placement_group import placement_group, remove_placement_group
from skate.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from skate.util.state import list_tasks
from tests.support import wait_until


@pytest.fixture(autouse=True)
def session() -> Iterator[None]:
    skate.init(num_cpus=2)
    yield
    skate.shutdown()


@skate.remote
def same(value: int) -> int:
    return value


def _lanes() -> Any:
    engine: Any = runtime.engine
    return engine.lanes


def _check_bound() -> None:
    """Once nothing is in use any more, a new shape has the node forget all beyond the bound."""
    lanes = _lanes()
    wait_until(lambda: all(lane.idle() for lane in list(lanes.open.values())), 30, "the leases to end")
    assert skate.get(same.options(num_cpus=0.5).remote(1), timeout=30) == 1
    assert len(lanes.open) <= KEPT


def test_lanes_of_removed_placement_groups_are_forgotten() -> None:
    for number in range(KEPT + 20):
        group = placement_group([{"CPU": 1}])
        strategy = PlacementGroupSchedulingStrategy(placement_group=group)
        assert skate.get(same.options(scheduling_strategy=strategy).remote(number), timeout=30) == number
        remove_placement_group(group)
    _check_bound()


def test_a_shape_that_was_forgotten_is_used_again() -> None:
    shapes = [same.options(num_cpus=0.001 * number) for number in range(1, KEPT + 40)]
    for _ in range(2):
        for number, shape in enumerate(shapes):
            assert skate.get(shape.remote(number), timeout=30) == number
    _check_bound()
    needs = {(row.required_resources or {})["CPU"] for row in list_tasks(detail=True, limit=10_000)}
    assert {0.001, 0.05, 0.1} <= needs, "what ran in a lane that is forgotten keeps its shape"
