"""Schedulers that pause, stop and copy trials, with trials on processes."""

from __future__ import annotations

import dataclasses
import os
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest

from skate import tune
from skate.tune import CheckpointConfig, RunConfig, Trainable, TuneConfig, Tuner
from skate.tune.schedulers import ASHAScheduler, HyperBandScheduler, PopulationBasedTraining, TrialScheduler

pytestmark = pytest.mark.usefixtures("session")


class Learner(Trainable):
    def setup(self, config: dict[str, Any]) -> None:
        self.score = 0.0

    def step(self) -> dict[str, Any]:
        self.score += self.config["lr"]
        return {"score": self.score, "pid": os.getpid()}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        Path(checkpoint_dir, "score").write_text(str(self.score))

    def load_checkpoint(self, checkpoint: Any) -> None:
        self.score = float(Path(checkpoint, "score").read_text())

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.score = 0.0
        return True


def learner(config: dict[str, Any]) -> None:
    score, checkpoint = 0.0, tune.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as directory:
            score = float(Path(directory, "score").read_text())
    while True:
        score += config["lr"]
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "score").write_text(str(score))
            tune.report({"score": score}, checkpoint=tune.Checkpoint.from_directory(directory))


@pytest.mark.parametrize("trainable", [Learner, learner])
@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("synch", [False, True])
def test_population_based_training(quiet: RunConfig, trainable: Any, reuse: bool, synch: bool) -> None:
    random.seed(1)
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=3,
        hyperparam_mutations={"lr": [4.0, 5.0]},
        synch=synch,
    )
    results = Tuner(
        trainable,
        param_space={"lr": tune.grid_search([0.0, 1.0, 2.0, 3.0])},
        tune_config=TuneConfig(metric="score", mode="max", scheduler=scheduler, reuse_actors=reuse),
        run_config=dataclasses.replace(
            quiet, stop={"training_iteration": 9}, checkpoint_config=CheckpointConfig(num_to_keep=2)
        ),
    ).fit()
    assert results.errors == [] and all(result.metrics["training_iteration"] == 9 for result in results)  # type: ignore[index]
    if synch:  # otherwise it depends on who comes first
        assert results[0].config["lr"] in (4.0, 5.0)  # type: ignore[index]
        assert results[0].metrics["score"] > 9  # type: ignore[index]


@pytest.mark.parametrize("trainable", [Learner, learner])
def test_asynchronous_halving(quiet: RunConfig, trainable: Any) -> None:
    results = Tuner(
        trainable,
        param_space={"lr": tune.grid_search([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0])},
        tune_config=TuneConfig(
            metric="score", mode="max", scheduler=ASHAScheduler(max_t=8, reduction_factor=2)
        ),
        run_config=quiet,
    ).fit()
    reached = [result.metrics["training_iteration"] for result in results]  # type: ignore[index]
    assert reached[0] == 8 and sum(reached) < 40 and results.num_terminated == 8
    assert results.get_best_result().config["lr"] == 8.0  # type: ignore[index]


@pytest.mark.parametrize("trainable", [Learner, learner])
def test_halving_in_brackets(quiet: RunConfig, trainable: Any) -> None:
    results = Tuner(
        trainable,
        param_space={"lr": tune.grid_search([float(number) for number in range(9)])},
        tune_config=TuneConfig(metric="score", mode="max", scheduler=HyperBandScheduler(max_t=9)),
        run_config=quiet,
    ).fit()
    assert sorted(result.metrics["training_iteration"] for result in results) == [1] * 6 + [3] * 2 + [9]  # type: ignore[index]
    assert results[8].metrics["score"] == 72  # type: ignore[index]  # it went on from where it was paused


def test_a_function_is_unwound_where_it_is_stopped(quiet: RunConfig, tmp_path: Path) -> None:
    mark = tmp_path / "cleaned"

    def endless(config: dict[str, Any]) -> None:
        try:
            while True:
                tune.report({"score": 1})
        finally:
            mark.write_text("up")

    Tuner(endless, run_config=dataclasses.replace(quiet, stop={"training_iteration": 3})).fit()
    assert mark.read_text() == "up"


def test_a_scheduler_by_name_and_one_of_ones_own(quiet: RunConfig) -> None:
    class Impatient(tune.schedulers.FIFOScheduler):
        def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
            return TrialScheduler.STOP if result["score"] > 2 else TrialScheduler.CONTINUE

    config = TuneConfig(scheduler=Impatient())
    result = Tuner(Learner, param_space={"lr": 1.0}, tune_config=config, run_config=quiet).fit()[0]
    assert result.metrics["score"] == 3  # type: ignore[index]
    analysis = tune.run(
        Learner,
        config={"lr": 1.0},
        scheduler="asynchyperband",
        metric="score",
        mode="max",
        stop={"score": 5},
        storage_path=quiet.storage_path,
        verbose=0,
    )
    assert analysis.best_result["score"] == 5
