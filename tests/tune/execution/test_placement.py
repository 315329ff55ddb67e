"""Trials that hold several bundles."""

from __future__ import annotations

from typing import Any

import pytest

import skate
from skate import tune
from skate.tune import RunConfig, TuneConfig, TuneError, Tuner
from skate.tune.execution.placement_groups import can_place
from skate.util import get_current_placement_group, placement_group_table
from tests.support import wait_until

pytestmark = pytest.mark.usefixtures("session")


@skate.remote
def where() -> str | None:
    found: str | None = skate.get_runtime_context().get_placement_group_id()
    return found


@skate.remote
def nested() -> list[str | None]:
    found: list[str | None] = skate.get([where.remote() for _ in range(3)])
    return found


def train(config: dict[str, Any]) -> dict[str, Any]:
    group = get_current_placement_group()
    assert group is not None
    inner = [each for found in skate.get([nested.remote() for _ in range(3)]) for each in found]
    return {"inside": set(inner) == {group.id.hex()}, "bundles": group.bundle_specs}


def states() -> set[str]:
    return {group["state"] for group in placement_group_table().values()}


@pytest.mark.parametrize("bundles", [[{"CPU": 1}, {"CPU": 1}], [{}, {"CPU": 1}]])
def test_what_a_trial_starts_runs_in_its_bundles(quiet: RunConfig, bundles: list[dict[str, float]]) -> None:
    # Both trials at once have room for the second shape alone; tasks of tasks never wait for one another.
    trainable = tune.with_resources(train, tune.PlacementGroupFactory(bundles))
    results = Tuner(trainable, tune_config=TuneConfig(num_samples=3), run_config=quiet).fit()
    assert results.num_errors == 0, results.errors
    for result in results:
        assert result.metrics is not None and result.metrics["inside"]
        assert result.metrics["bundles"] == [bundle for bundle in bundles if bundle]
    wait_until(lambda: states() <= {"REMOVED"}, timeout=20, what="the groups' removal")


def test_a_trial_of_one_bundle_may_use_what_is_free(quiet: RunConfig) -> None:
    def alone(config: dict[str, Any]) -> dict[str, Any]:
        return {"group": skate.get(nested.remote())}

    results = Tuner(alone, tune_config=TuneConfig(num_samples=3), run_config=quiet).fit()
    assert [result.metrics["group"] for result in results] == [[None] * 3] * 3  # type: ignore[index]


def test_bundles_that_can_not_be_placed_are_refused(quiet: RunConfig) -> None:
    spread = tune.PlacementGroupFactory([{"CPU": 1}, {"CPU": 1}], strategy="STRICT_SPREAD")
    with pytest.raises(TuneError, match="can't be placed by STRICT_SPREAD on 1 host"):
        Tuner(tune.with_resources(train, spread), run_config=quiet).fit()


@pytest.mark.parametrize(
    ("bundles", "strategy", "hosts", "fits"),
    [
        ([{"CPU": 2}, {"CPU": 2}], "PACK", [{"CPU": 4}], True),
        ([{"CPU": 2}, {"CPU": 3}], "PACK", [{"CPU": 4}], False),
        ([{"CPU": 2}, {"CPU": 2}], "STRICT_PACK", [{"CPU": 3}, {"CPU": 3}], False),
        ([{"CPU": 2}, {"CPU": 2}], "SPREAD", [{"CPU": 4}], True),
        ([{"CPU": 2}, {"CPU": 2}], "STRICT_SPREAD", [{"CPU": 2}, {"CPU": 2}], True),
        ([{"GPU": 1}], "PACK", [{"CPU": 2}], False),
        ([{"CPU": 2}, {"GPU": 1}], "STRICT_SPREAD", [{"CPU": 4, "GPU": 1}, {"CPU": 4}], True),
        ([{"CPU": 2}, {"GPU": 1}], "STRICT_SPREAD", [{"CPU": 1, "GPU": 1}, {"CPU": 1}], False),
        ([{"CPU": 2}, {"CPU": 1, "GPU": 1}], "PACK", [{"CPU": 2, "GPU": 1}, {"CPU": 2}], True),
        ([{"CPU": 3}] * 30, "SPREAD", [{"CPU": 4}] * 29, False),
        ([{"CPU": 1}] * 500, "PACK", [{"CPU": 500}], True),
    ],
)
def test_which_bundles_can_be_placed(
    bundles: list[dict[str, float]], strategy: str, hosts: list[dict[str, float]], fits: bool
) -> None:
    assert can_place(bundles, strategy, hosts) is fits
