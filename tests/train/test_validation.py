from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from skate import train
from skate.train._run.validation import merged
from skate.train.v2.api.data_parallel_trainer import DataParallelTrainer

pytestmark = pytest.mark.usefixtures("session")
_LIGHT = {"num_cpus": 0}


def _report(metrics: dict[str, Any], **options: Any) -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place, "value").write_text(str(metrics["step"]))
        train.report(metrics, train.Checkpoint(place), **options)


def _validate(checkpoint: train.Checkpoint, factor: int = 1) -> dict[str, Any]:
    return {"score": factor * int(Path(checkpoint.path, "value").read_text())}


def _fit(function: Any, run_config: train.RunConfig, config: Any = None, **options: Any) -> train.Result:
    trainer = DataParallelTrainer(
        function, train_loop_config=config, validation_config=options.get("validation"), run_config=run_config
    )
    return trainer.fit()


def test_what_validation_finds_decides_which_are_kept(run_config: train.RunConfig) -> None:
    def function() -> list[Any]:
        _report({"step": 3}, validation=True)
        _report({"step": 1}, validation=train.ValidationTaskConfig(fn_kwargs={"factor": 20}))
        _report({"step": 2}, validation=True)
        return [
            (kept.metrics, kept.status.value, Path(kept.checkpoint.path).is_dir())
            for kept in train.get_all_reported_checkpoints()
        ]

    run_config.checkpoint_config = train.CheckpointConfig(num_to_keep=1, checkpoint_score_attribute="score")
    task = train.ValidationTaskConfig(fn_kwargs={"factor": 10})
    result = _fit(function, run_config, validation=train.ValidationConfig(_validate, task, _LIGHT))
    newest = {"step": 2, "score": 20}
    assert (newest, "VALIDATED", True) in result.return_value
    assert [metrics for _, metrics in result.best_checkpoints or []] == [{"step": 3, "score": 30}]
    assert result.metrics == newest
    again = train.Result.from_path(result.path)
    assert again.metrics == newest


def test_training_goes_on_meanwhile(run_config: train.RunConfig, tmp_path: Path) -> None:
    def validate(checkpoint: train.Checkpoint, place: str) -> dict[str, Any]:
        while not Path(place, "go").exists():
            threading.Event().wait(0.01)
        return {"score": 1}

    def function(config: dict[str, str]) -> list[str]:
        _report({"step": 0}, validation=True)
        committed = train.get_all_reported_checkpoints(train.CheckpointConsistencyMode.COMMITTED)
        too_early = train.get_all_reported_checkpoints(timeout_s=0.05)
        Path(config["place"], "go").touch()
        return [
            each[-1].status.value for each in (committed, too_early, train.get_all_reported_checkpoints())
        ]

    task = train.ValidationTaskConfig(fn_kwargs={"place": str(tmp_path)})
    found = _fit(
        function,
        run_config,
        {"place": str(tmp_path)},
        validation=train.ValidationConfig(validate, task, _LIGHT),
    )
    assert found.return_value == ["PENDING_VALIDATION", "PENDING_VALIDATION", "VALIDATED"]


def test_a_validation_that_fails_or_lasts_does_no_harm(
    run_config: train.RunConfig, caplog: pytest.LogCaptureFixture
) -> None:
    def validate(checkpoint: train.Checkpoint, how: str) -> Any:
        if how == "raises":
            raise ValueError("boom")
        if how == "lasts":
            threading.Event().wait()
        return how

    def function() -> list[str]:
        for step, how in enumerate(["raises", "no dictionary"]):
            _report({"step": step}, validation=train.ValidationTaskConfig(fn_kwargs={"how": how}))
        _report(
            {"step": 2}, validation=train.ValidationTaskConfig(fn_kwargs={"how": "lasts"}, timeout_s=0.05)
        )
        return [kept.status.value for kept in train.get_all_reported_checkpoints()]

    result = _fit(function, run_config, validation=train.ValidationConfig(validate, None, _LIGHT))
    assert result.return_value == ["VALIDATION_FAILED", "VALIDATION_FAILED", "VALIDATION_TIMEOUT"]
    assert result.metrics == {"step": 2}
    assert "ValueError: boom" in caplog.text and "must return a dictionary of metrics, not str" in caplog.text


def test_a_trainer_that_cannot_validate(run_config: train.RunConfig) -> None:
    with pytest.raises(train.WorkerGroupError, match="validation_config=ValidationConfig"):
        _fit(lambda: _report({"step": 0}, validation=True), run_config)


def test_what_a_report_does_not_say_the_trainer_says() -> None:
    task = train.ValidationTaskConfig(fn_kwargs={"a": 1, "b": 2}, timeout_s=5)
    config = train.ValidationConfig(_validate, task)
    own = train.ValidationTaskConfig(fn_kwargs={"b": 3})
    assert merged(config, True) == task
    assert merged(config, own) == train.ValidationTaskConfig(fn_kwargs={"a": 1, "b": 3}, timeout_s=5)
    assert merged(train.ValidationConfig(_validate), own) == own
