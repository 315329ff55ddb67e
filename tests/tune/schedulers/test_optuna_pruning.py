from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import optuna
import pytest

from skate import tune
from skate.tune.schedulers import OptunaPruning, create_scheduler
from skate.tune.search import BasicVariantGenerator, ConcurrencyLimiter, SearchAlgorithm, SearchGenerator
from skate.tune.search.optuna import OptunaSearch
from tests.tune.simulation import simulate


def curve(config: dict[str, Any], i: int) -> float:
    return float(config["x"] * i)


def searched(tmp_path: Path, search: SearchAlgorithm, scheduler: OptunaPruning, mode: str = "max") -> Any:
    controller, _ = simulate(
        tmp_path,
        curve,
        {"x": tune.uniform(0, 1)},
        search=search,
        scheduler=scheduler,
        mode=mode,
        num_samples=24,
        stop={"training_iteration": 8},
    )
    return controller.get_trials()


def test_the_sampler_learns_who_was_pruned(tmp_path: Path) -> None:
    searcher = OptunaSearch(seed=1)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4)
    trials = searched(tmp_path, SearchGenerator(ConcurrencyLimiter(searcher, 2)), OptunaPruning(pruner))
    lengths = [trial.last_result["training_iteration"] for trial in trials]
    pruned = sum(length < 8 for length in lengths)
    assert 0 < pruned < 24
    states = [trial.state.name for trial in searcher._study.trials]
    assert states.count("PRUNED") == pruned and states.count("COMPLETE") == 24 - pruned
    steps = [len(trial.intermediate_values) for trial in searcher._study.trials]
    assert steps == [
        min(length, 7) for length in lengths
    ]  # the last result of a trial that came to its end is its value


@pytest.mark.parametrize("mode", ["min", "max"])
def test_with_another_search_algorithm_the_pruner_has_its_own_study(tmp_path: Path, mode: str) -> None:
    scheduler = OptunaPruning(optuna.pruners.MedianPruner(n_startup_trials=4))
    trials = searched(tmp_path, BasicVariantGenerator(random_state=3), scheduler, mode)
    full = [trial.config["x"] for trial in trials if trial.last_result["training_iteration"] == 8]
    early = [trial.config["x"] for trial in trials if trial.last_result["training_iteration"] < 8]
    assert early and f"num_stopped={len(early)}" in scheduler.debug_string()
    better = max if mode == "max" else min
    assert better(full) == better(full + early)


def test_a_trial_that_fails_is_left_out(tmp_path: Path) -> None:
    scheduler = OptunaPruning()
    controller, _ = simulate(
        tmp_path,
        lambda config, i: ValueError("no") if i == 2 and config["x"] > 0.5 else curve(config, i),
        {"x": tune.uniform(0, 1)},
        scheduler=scheduler,
        num_samples=12,
        stop={"training_iteration": 4},
    )
    assert {trial.status for trial in controller.get_trials()} == {"TERMINATED", "ERROR"}
    assert scheduler._own == {}


def test_a_trial_that_ends_without_a_number_is_left_out(tmp_path: Path) -> None:
    scheduler = OptunaPruning(optuna.pruners.NopPruner())
    controller, _ = simulate(
        tmp_path,
        lambda config, i: math.nan if config["x"] > 0.5 else curve(config, i),
        {"x": tune.uniform(0, 1)},
        scheduler=scheduler,
        num_samples=12,
        stop={"training_iteration": 2},
    )
    assert {trial.status for trial in controller.get_trials()} == {"TERMINATED"}
    assert {trial.state.name for trial in scheduler._study.trials} == {"COMPLETE", "FAIL"}


def test_what_it_does_not_take() -> None:
    with pytest.raises(ValueError, match="no pruner of Optuna"):
        OptunaPruning("median")  # type: ignore[arg-type]
    assert isinstance(create_scheduler("optuna_pruning"), OptunaPruning)
