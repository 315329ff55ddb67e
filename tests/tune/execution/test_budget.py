from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skate.tune import PlacementGroupFactory
from skate.tune.execution.budget import Budget
from skate.tune.execution.placement_groups import resource_dict_to_pg_factory


def test_holding_and_releasing() -> None:
    budget = Budget({"CPU": 2, "GPU": 1})
    half = PlacementGroupFactory([{"CPU": 1, "GPU": 0.5}])
    budget.hold("a", half)
    assert budget.has_room(half)
    budget.hold("b", half)
    assert not budget.has_room(half) and budget.used == {"CPU": 2, "GPU": 1}
    with pytest.raises(ValueError, match="holds"):
        budget.hold("b", half)
    budget.release("a")
    budget.release("nobody")
    assert budget.has_room(half) and budget.missing(PlacementGroupFactory([{"GPU": 2, "x": 1}])) == {
        "GPU": 2,
        "x": 1,
    }
    assert budget.fits_ever(half) and not budget.fits_ever(PlacementGroupFactory([{"CPU": 3}]))


@given(st.lists(st.floats(0.05, 1), max_size=20))
def test_all_released_is_as_at_first(amounts: list[float]) -> None:
    budget = Budget({"CPU": 100})
    for number, amount in enumerate(amounts):
        budget.hold(number, PlacementGroupFactory([{"CPU": amount}]))
    for number in range(len(amounts)):
        budget.release(number)
    assert budget.used == {} and budget.has_room(PlacementGroupFactory([{"CPU": 100}]))


def test_bundles_of_dictionaries() -> None:
    assert resource_dict_to_pg_factory(None).bundles == [{"CPU": 1.0}]
    assert resource_dict_to_pg_factory({"cpu": 2, "gpu": 1, "custom_resources": {"y": 1}}).bundles == [
        {"CPU": 2.0, "GPU": 1.0, "y": 1.0}
    ]
    with pytest.raises(ValueError, match="must be a number"):
        resource_dict_to_pg_factory({"cpu": "many"})
