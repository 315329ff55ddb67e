from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skate import tune
from skate.tune.schedulers import HyperBandForBOHB, HyperBandScheduler
from tests.tune.simulation import simulate


@pytest.mark.parametrize("kind", [HyperBandScheduler, HyperBandForBOHB])
@pytest.mark.parametrize("cpus", [1, 4, 64])
def test_brackets_are_halved_until_one_is_left(
    tmp_path: Path, kind: type[HyperBandScheduler], cpus: int
) -> None:
    scheduler = kind(max_t=9, reduction_factor=3)
    controller, executor = simulate(
        tmp_path,
        lambda config, i: config["x"],
        {"x": tune.grid_search(list(range(9)))},
        scheduler=scheduler,
        cpus=cpus,
    )
    reached = [trial.last_result["training_iteration"] for trial in controller.get_trials()]
    assert sorted(reached) == [1] * 6 + [3] * 2 + [9] and reached[-1] == 9
    assert not executor.running and scheduler.state() == {"num_bands": 1, "num_brackets": 1, "num_stopped": 9}
    assert "Using HyperBand" in scheduler.debug_string()


def test_bands_of_brackets(tmp_path: Path) -> None:
    scheduler = HyperBandScheduler(max_t=9, reduction_factor=3, mode="max", metric="score")
    controller, _ = simulate(
        tmp_path,
        lambda config, i: config["x"],
        {"x": tune.uniform(0, 1)},
        num_samples=30,
        scheduler=scheduler,
        metric=None,
        mode=None,
    )
    assert scheduler.state()["num_brackets"] >= 4 and all(
        trial.is_finished() for trial in controller.get_trials()
    )
    work = sum(trial.last_result["training_iteration"] for trial in controller.get_trials())
    assert work < 30 * 9 / 2


def test_a_failed_trial_does_not_hold_up_its_bracket(tmp_path: Path) -> None:
    def learner(config: dict[str, Any], i: int) -> Any:
        return ValueError("no") if config["x"] in (0, 8) else config["x"]

    controller, _ = simulate(
        tmp_path, learner, {"x": tune.grid_search(list(range(9)))}, scheduler=HyperBandScheduler(max_t=9)
    )
    assert {trial.status for trial in controller.get_trials()} == {"ERROR", "TERMINATED"}
    assert max(trial.last_result.get("training_iteration", 0) for trial in controller.get_trials()) == 9


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="max_t"):
        HyperBandScheduler(max_t=0)
    with pytest.raises(ValueError, match="reduction_factor"):
        HyperBandScheduler(reduction_factor=1)
