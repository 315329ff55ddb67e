"""Trainers of the first generation: trials of Tune."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from skate import train, tune
from skate.air.config import RunConfig, ScalingConfig
from skate.train.base_trainer import BaseTrainer, TrainingFailedError
from skate.train.collective import barrier
from skate.train.data_parallel_trainer import DataParallelTrainer
from skate.train.v2.api.data_parallel_trainer import DataParallelTrainer as LaterTrainer
from skate.util.annotations import RayDeprecationWarning
from tests.support import run_code

pytestmark = pytest.mark.usefixtures("session")

_TWO = ScalingConfig(num_workers=2, trainer_resources={"CPU": 0})


@pytest.fixture
def first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first generation, without its warnings."""
    monkeypatch.setenv("RAY_TRAIN_V2_ENABLED", "0")
    monkeypatch.setenv("RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS", "0")


@pytest.fixture
def place(tmp_path: Path) -> RunConfig:
    """A run of the first generation that is kept in the test's own directory."""
    return RunConfig(name="run", storage_path=str(tmp_path), verbose=0)


def _report(metrics: dict[str, Any], text: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        rank = train.get_context().get_world_rank()
        Path(directory, f"rank{rank}.txt").write_text(text)
        train.report(metrics, checkpoint=train.Checkpoint.from_directory(directory))


def _loop(config: dict[str, Any]) -> None:
    context = train.get_context()
    begin = 0
    if (checkpoint := train.get_checkpoint()) is not None:
        with checkpoint.as_directory() as directory:
            begin = int(Path(directory, f"rank{context.get_world_rank()}.txt").read_text()) + 1
    for step in range(begin, 3):
        metrics = {
            "step": step,
            "begin": begin,
            "score": config.get("x", 1) * step,
            "world": context.get_world_size(),
            "trial": context.get_trial_name(),
            "of": context.get_experiment_name(),
            "metadata": context.get_metadata(),
        }
        _report(metrics, str(step))
        if config.get("fails_at") == step and not os.path.exists(config["mark"]):
            barrier()
            if context.get_world_rank() == 0:
                Path(config["mark"]).touch()
                raise ValueError("boom")


@pytest.mark.usefixtures("first")
def test_a_run_is_a_trial(place: RunConfig) -> None:
    trainer = DataParallelTrainer(_loop, scaling_config=_TWO, run_config=place, metadata={"made": "here"})
    assert repr(trainer).startswith("<DataParallelTrainer scaling_config=ScalingConfig(")
    result = trainer.fit()
    assert result.metrics is not None and result.metrics["step"] == 2 and result.metrics["world"] == 2
    assert result.metrics["training_iteration"] == 3 and result.metrics["of"] == "run"
    assert result.metrics["trial"].startswith("DataParallelTrainer_")
    assert result.metrics["metadata"] == {"made": "here"}
    frame = result.metrics_dataframe
    assert frame is not None and list(frame["step"]) == [0, 1, 2]
    assert result.checkpoint is not None and Path(result.checkpoint.path).name == "checkpoint_000002"
    assert sorted(os.listdir(result.checkpoint.path)) == [".metadata.json", "rank0.txt", "rank1.txt"]
    assert result.checkpoint.get_metadata() == {"made": "here"}
    assert Path(result.path).parent == Path(str(place.storage_path), "run")


@pytest.mark.parametrize("kind", ["first", "second"])
def test_a_search_over_runs(kind: str, place: RunConfig, request: pytest.FixtureRequest) -> None:
    trainer: Any
    if kind == "first":
        request.getfixturevalue("first")
        trainer = DataParallelTrainer(_loop, train_loop_config={"x": 0, "y": 1}, scaling_config=_TWO)
    else:
        trainer = LaterTrainer(_loop, scaling_config=train.ScalingConfig(num_workers=2))
    results = tune.Tuner(
        trainer,
        param_space={
            "train_loop_config": {"x": tune.grid_search([1, 3])},
            "scaling_config": train.ScalingConfig(num_workers=1)
            if kind == "second"
            else {"num_workers": 1, "trainer_resources": {"CPU": 1}},
        },
        tune_config=tune.TuneConfig(metric="score", mode="max"),
        run_config=place,
    ).fit()
    best = results.get_best_result()
    assert not results.errors and len(results) == 2
    assert best.metrics is not None and best.metrics["score"] == 6 and best.metrics["world"] == 1
    assert best.config is not None and best.config["train_loop_config"] == {"x": 3}


@pytest.mark.usefixtures("first")
def test_a_run_that_failed_goes_on(place: RunConfig, tmp_path: Path) -> None:
    config = {"fails_at": 1, "mark": str(tmp_path / "mark")}
    trainer = DataParallelTrainer(_loop, train_loop_config=config, scaling_config=_TWO, run_config=place)
    with pytest.raises(TrainingFailedError, match=r"DataParallelTrainer\.restore\(") as caught:
        trainer.fit()
    assert isinstance(caught.value.__cause__, ValueError) and "boom" in str(caught.value.__cause__)
    directory = str(tmp_path / "run")
    assert DataParallelTrainer.can_restore(directory) and not DataParallelTrainer.can_restore(str(tmp_path))
    result = DataParallelTrainer.restore(directory).fit()
    assert result.metrics is not None
    assert (result.metrics["begin"], result.metrics["step"], result.metrics["training_iteration"]) == (
        2,
        2,
        3,
    )


@pytest.mark.usefixtures("first")
def test_a_run_that_fails_is_tried_again(place: RunConfig, tmp_path: Path) -> None:
    place.failure_config = tune.FailureConfig(max_failures=1)
    config = {"fails_at": 0, "mark": str(tmp_path / "mark")}
    result = DataParallelTrainer(_loop, train_loop_config=config, scaling_config=_TWO, run_config=place).fit()
    assert result.metrics is not None and result.metrics["begin"] == 1


class _Own(BaseTrainer):
    def setup(self) -> None:
        self.ready = 1

    def training_loop(self) -> None:
        for step in range(2):
            train.report({"step": step + self.ready})


@pytest.mark.usefixtures("first")
def test_a_trainer_of_ones_own(place: RunConfig) -> None:
    result = _Own(run_config=place).fit()
    assert result.metrics is not None and result.metrics["step"] == 2
    with pytest.raises(DeprecationWarning, match="no longer used"):
        _Own().preprocess_datasets()


def test_it_belongs_to_the_first_generation() -> None:
    with pytest.raises(DeprecationWarning, match="Detected use of a deprecated Trainer import"):
        _Own()


@pytest.mark.usefixtures("first")
def test_wrong_arguments(tmp_path: Path) -> None:
    def two(a: int, b: int) -> None:
        pass

    wrong: Any
    for name, wrong, error, text in (
        ("run_config", "x", ValueError, "`run_config` should be an instance"),
        ("scaling_config", {"num_workers": 2}, ValueError, "`scaling_config` should be an instance"),
        ("datasets", [1], ValueError, "`datasets` should be a dict"),
        ("datasets", {"train": 1}, ValueError, "The Dataset under 'train' key"),
        ("metadata", [1], TypeError, "must be a dict"),
        ("metadata", {"a": object()}, ValueError, "must be JSON-serializable"),
        ("resume_from_checkpoint", "x", ValueError, "`resume_from_checkpoint` should be an instance"),
        ("dataset_config", "x", ValueError, "`dataset_config` must be an instance"),
    ):
        with pytest.raises(error, match=text):
            DataParallelTrainer(_loop, **{name: wrong})
    with pytest.raises(ValueError, match="0 or 1"):
        DataParallelTrainer(two)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Invalid restore path"):
        DataParallelTrainer.restore(str(tmp_path))
    with pytest.raises(ValueError, match="cannot be tuned"):
        tune.Tuner(DataParallelTrainer(_loop), param_space={"run_config": RunConfig()})
    with pytest.raises(ValueError, match="must be a positive"):
        DataParallelTrainer._validate_scaling_config(ScalingConfig(num_workers=0))


def test_what_is_deprecated_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_TRAIN_V2_ENABLED", "0")
    with pytest.warns(RayDeprecationWarning, match="metadata"):
        DataParallelTrainer(_loop, metadata={})
    with pytest.warns(RayDeprecationWarning, match="restore"):
        assert not DataParallelTrainer.can_restore(str(tmp_path))


@pytest.mark.usefixtures("first")
def test_names_are_those_of_the_generation() -> None:
    program = (
        "from skate import air, train\n"
        "from skate.train import base_trainer, trainer, torch, tensorflow\n"
        "assert train.RunConfig is air.RunConfig and train.ScalingConfig is air.ScalingConfig\n"
        "assert train.FailureConfig is air.FailureConfig and train.CheckpointConfig is air.CheckpointConfig\n"
        "assert train.Result is air.Result and train.TrainingFailedError is base_trainer.TrainingFailedError\n"
        "assert issubclass(torch.TorchTrainer, trainer.BaseTrainer)\n"
        "assert issubclass(tensorflow.TensorflowTrainer, trainer.BaseTrainer)\n"
        "torch.TorchTrainer(print, scaling_config=train.ScalingConfig(trainer_resources={'CPU': 0}))\n"
    )
    run_code(program)


@pytest.mark.usefixtures("first")
def test_boosting_without_a_training_function(place: RunConfig) -> None:
    pytest.importorskip("xgboost")
    from skate import data
    from skate.train.xgboost.xgboost_trainer import XGBoostTrainer

    rows = data.from_items([{"x": float(number), "y": float(number % 2)} for number in range(32)])
    place.checkpoint_config = tune.CheckpointConfig(checkpoint_frequency=2)
    result = XGBoostTrainer(
        params={"objective": "binary:logistic", "eval_metric": "logloss"},
        label_column="y",
        num_boost_round=4,
        datasets={"train": rows, "valid": rows},
        scaling_config=ScalingConfig(num_workers=1),
        run_config=place,
    ).fit()
    assert result.metrics is not None and result.metrics["training_iteration"] == 4
    assert {"train-logloss", "valid-logloss"} <= set(result.metrics)
    assert result.checkpoint is not None and len(result.best_checkpoints or []) == 2
    assert XGBoostTrainer.get_model(result.checkpoint).num_boosted_rounds() == 4
    with pytest.raises(ValueError, match="`label_column` must be provided"):
        XGBoostTrainer(params={}, datasets={"train": rows})
