from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from skate import tune
from skate.tune.schedulers import MedianStoppingRule
from tests.tune.simulation import simulate

SPACE = {"x": tune.grid_search([1, 2, 3, 4, 5])}
FALLING = {"x": tune.grid_search([5, 4, 3, 2, 1])}


def test_trials_below_the_median_are_stopped(tmp_path: Path) -> None:
    scheduler = MedianStoppingRule(time_attr="training_iteration", grace_period=3, min_samples_required=2)
    controller, _ = simulate(
        tmp_path,
        lambda config, i: config["x"],
        FALLING,
        scheduler=scheduler,
        cpus=5,
        stop={"training_iteration": 10},
    )
    reached = [trial.last_result["training_iteration"] for trial in controller.get_trials()]
    assert reached[0] == 10 and min(reached) == 3 and "num_stopped" in scheduler.debug_string()


def test_trials_make_room_for_others_to_be_compared_with(tmp_path: Path) -> None:
    scheduler = MedianStoppingRule(time_attr="training_iteration", grace_period=2, min_samples_required=4)
    controller, executor = simulate(
        tmp_path,
        lambda config, i: config["x"],
        SPACE,
        scheduler=scheduler,
        cpus=1,
        stop={"training_iteration": 6},
    )
    assert executor.log[:4] == ["start 00 at 0", "stop 00", "start 01 at 0", "stop 01"]
    assert all(trial.is_finished() for trial in controller.get_trials())


def test_a_soft_stop_only_pauses(tmp_path: Path) -> None:
    scheduler = MedianStoppingRule(
        time_attr="training_iteration",
        grace_period=2,
        min_samples_required=1,
        hard_stop=False,
        mode="min",
        metric="score",
    )
    controller, executor = simulate(
        tmp_path,
        lambda config, i: config["x"],
        SPACE,
        scheduler=scheduler,
        cpus=5,
        metric=None,
        mode=None,
        stop={"training_iteration": 5},
    )
    assert [trial.last_result["training_iteration"] for trial in controller.get_trials()] == [5] * 5
    starts = Counter(line.split()[1] for line in executor.log if line.startswith("start"))
    assert max(starts.values()) == 2  # one that went on all the same is left alone
    assert "num_stopped=4" in scheduler.debug_string()


def test_means_that_are_no_numbers_are_not_compared_with(tmp_path: Path) -> None:
    scheduler = MedianStoppingRule(time_attr="training_iteration", grace_period=1, min_samples_required=3)
    controller, _ = simulate(
        tmp_path,
        lambda config, i: math.nan if config["x"] > 2 else config["x"],
        FALLING,
        scheduler=scheduler,
        cpus=5,
        stop={"training_iteration": 4},
    )
    # Of five trials two have numbers: too few to compare any with.
    assert [trial.last_result["training_iteration"] for trial in controller.get_trials()] == [4] * 5
