from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from skate import tune
from skate.tune.schedulers import ASHAScheduler, AsyncHyperBandScheduler, create_scheduler
from skate.tune.schedulers.async_hyperband import Bracket
from skate.tune.schedulers.comparing import percentile
from tests.tune.simulation import simulate

SPACE = {"x": tune.grid_search(list(range(16)))}
FALLING = {"x": tune.grid_search(list(reversed(range(16))))}


def test_most_trials_are_stopped_early_and_the_best_is_not(tmp_path: Path) -> None:
    scheduler = ASHAScheduler(max_t=16, reduction_factor=2)
    controller, _ = simulate(
        tmp_path, lambda config, i: config["x"] + i / 100, FALLING, scheduler=scheduler, cpus=16
    )
    reached = [trial.last_result["training_iteration"] for trial in controller.get_trials()]
    assert reached[0] == 16 and sum(reached) < 16 * 16 / 2
    assert "num_stopped" in scheduler.debug_string()


def test_less_is_better_with_mode_min(tmp_path: Path) -> None:
    controller, _ = simulate(
        tmp_path,
        lambda config, i: config["x"],
        SPACE,
        scheduler=AsyncHyperBandScheduler(max_t=9),
        mode="min",
        cpus=16,
    )
    reached = [trial.last_result["training_iteration"] for trial in controller.get_trials()]
    assert reached[0] == 9 and reached[-1] < 9


def test_what_is_no_number_is_stopped(tmp_path: Path) -> None:
    def learner(config: dict[str, Any], i: int) -> float:
        return math.nan if config["x"] == 3 else 1.0

    controller, _ = simulate(
        tmp_path, learner, {"x": tune.grid_search([1, 2, 3])}, scheduler=ASHAScheduler(max_t=8)
    )
    assert [trial.last_result["training_iteration"] for trial in controller.get_trials()] == [8, 8, 1]


def test_milestones() -> None:
    assert Bracket(1, 100, 4, 0).milestones == [64, 16, 4, 1]
    assert Bracket(1, 100, 4, 1).milestones == [64, 16, 4]
    bracket = Bracket(1, 10, 2, 0)
    assert [
        bracket.on_result(name, 1, value) for name, value in (("a", 1.0), ("b", 3.0), ("c", 2.0), ("d", 1.9))
    ] == [
        "CONTINUE",
        "CONTINUE",
        "CONTINUE",
        "STOP",
    ]


def test_without_an_end_trials_run_on(tmp_path: Path) -> None:
    scheduler = ASHAScheduler(max_t=4, reduction_factor=2, stop_last_trials=False)
    controller, _ = simulate(
        tmp_path,
        lambda config, i: 1.0,
        {"x": tune.grid_search([1, 2])},
        scheduler=scheduler,
        stop={"training_iteration": 9},
    )
    assert [trial.last_result["training_iteration"] for trial in controller.get_trials()] == [9, 9]


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    for settings in (
        {"max_t": 0},
        {"grace_period": 0},
        {"max_t": 1, "grace_period": 2},
        {"reduction_factor": 1},
        {"brackets": 0},
    ):
        with pytest.raises(ValueError, match="must be"):
            ASHAScheduler(**settings)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`mode` must be"):
        ASHAScheduler(mode="best")
    with pytest.raises(ValueError, match="without a valid `metric`"):
        simulate(tmp_path, lambda config, i: i, scheduler=ASHAScheduler(), metric=None, mode=None)
    with pytest.raises(ValueError, match="must be one of"):
        create_scheduler("nosuch")
    assert type(create_scheduler("AsyncHyperBand", max_t=5)) is AsyncHyperBandScheduler


def test_percentiles() -> None:
    assert percentile([5], 75) == 5 and percentile([3, 1, 2], 50) == 2 and percentile([1, 2], 75) == 1.75
