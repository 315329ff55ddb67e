from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skate import tune
from skate.tune import PlacementGroupFactory
from skate.tune.schedulers import ASHAScheduler, ResourceChangingScheduler
from skate.tune.schedulers.resource_changing_scheduler import DistributeResources, DistributeResourcesToTopJob
from tests.tune.simulation import Pretend, simulate

SPACE = {"x": tune.grid_search([1, 2, 3, 4])}


def held(tmp_path: Path, allocation: Any, cpus: int = 8, **settings: Any) -> list[dict[str, float]]:
    """What trials held last, when they end one after the other."""
    controller, executor = simulate(
        tmp_path,
        lambda config, i: config["x"],
        SPACE,
        scheduler=ResourceChangingScheduler(resources_allocation_function=allocation),
        cpus=cpus,
        stopper=_After(),
        **settings,
    )
    assert not executor.running
    return [trial.placement_group_factory.required_resources for trial in controller.get_trials()]


class _After(tune.Stopper):
    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return bool(result["training_iteration"] >= result["config"]["x"] * 3)

    def stop_all(self) -> bool:
        return False


def test_all_trials_share(tmp_path: Path) -> None:
    assert held(tmp_path, DistributeResources()) == [{"CPU": 2}, {"CPU": 2}, {"CPU": 4}, {"CPU": 8}]
    assert held(tmp_path / "r", DistributeResources(reserve_resources={"CPU": 4}))[-1] == {"CPU": 4}
    assert held(tmp_path / "t", DistributeResources(increase_by_times=1))[-1] == {"CPU": 2}


def test_more_bundles(tmp_path: Path) -> None:
    controller, _ = simulate(
        tmp_path,
        lambda config, i: i,
        scheduler=ResourceChangingScheduler(
            resources_allocation_function=DistributeResources(add_bundles=True)
        ),
        cpus=3,
        stop={"score": 3},
    )
    assert controller.get_trials()[0].placement_group_factory.bundles == [{"CPU": 1.0}] * 3


def test_the_best_takes_all(tmp_path: Path) -> None:
    last = held(tmp_path, DistributeResourcesToTopJob())
    assert last[:3] == [{"CPU": 1}] * 3 and last[3]["CPU"] >= 5


def test_a_function_of_ones_own(tmp_path: Path) -> None:
    def allocate(controller: Any, trial: Any, result: dict[str, Any], scheduler: Any) -> Any:
        if result["training_iteration"] == 2:
            return PlacementGroupFactory([{"CPU": controller._resource_updater.get_num_cpus()}])
        return None

    controller, executor = simulate(
        tmp_path,
        lambda config, i: i,
        scheduler=ResourceChangingScheduler(ASHAScheduler(max_t=4), allocate),
        cpus=4,
    )
    assert controller.get_trials()[0].placement_group_factory.required_resources == {"CPU": 4}
    assert [line for line in executor.log if line.startswith("start")] == ["start 00 at 0", "start 00 at 2"]
    with pytest.raises(ValueError, match="itself"):
        ResourceChangingScheduler(ResourceChangingScheduler())


def test_trials_begin_with_the_same(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="varying base resources"):
        simulate(
            tmp_path,
            lambda config, i: i,
            SPACE,
            scheduler=ResourceChangingScheduler(),
            trainable=tune.with_resources(
                Pretend, lambda config: PlacementGroupFactory([{"CPU": config["x"]}])
            ),
        )
