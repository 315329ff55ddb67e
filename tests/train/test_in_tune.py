from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from skate import train, tune
from skate.train.v2.api.data_parallel_trainer import DataParallelTrainer
from skate.tune.integration.ray_train import TuneReportCallback

pytestmark = pytest.mark.usefixtures("session")


def test_a_trial_that_is_a_training_run(tmp_path: Path) -> None:
    def loop(config: dict[str, Any]) -> None:
        for step in range(2):
            with tempfile.TemporaryDirectory() as place:
                train.report({"loss": config["lr"] * step}, train.Checkpoint(place))

    def trial(config: dict[str, Any]) -> None:
        DataParallelTrainer(
            loop,
            train_loop_config=config,
            run_config=train.RunConfig(
                name=tune.get_context().get_trial_id(),
                storage_path=str(tmp_path / "runs"),
                callbacks=[TuneReportCallback()],
            ),
        ).fit()

    results = tune.Tuner(
        trial,
        param_space={"lr": tune.grid_search([1, 2])},
        tune_config=tune.TuneConfig(max_concurrent_trials=1),
        run_config=tune.RunConfig(name="search", storage_path=str(tmp_path), verbose=0),
    ).fit()
    best = results.get_best_result("loss", "min")
    assert not results.errors and best.config == {"lr": 1}
    assert best.metrics is not None and best.metrics["loss"] == 1 and best.metrics["training_iteration"] == 2
    assert Path(best.metrics["checkpoint_path"]).is_dir()


def test_the_callback_belongs_to_a_trial() -> None:
    with pytest.raises(RuntimeError, match="must be used in a Tune session"):
        TuneReportCallback()
