"""Searches as users write them, on processes."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pickle
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

import skate
from skate import train, tune
from skate.air import session as air_session
from skate.tune import CheckpointConfig, FailureConfig, RunConfig, Trainable, TuneConfig, TuneError, Tuner

pytestmark = pytest.mark.usefixtures("session")


def climb(config: dict[str, Any]) -> None:
    for step in range(1, 4):
        tune.report({"score": config["x"] * step, "deep": {"er": step}})


def with_checkpoints(config: dict[str, Any]) -> None:
    start = 0
    checkpoint = tune.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as directory:
            start = int(Path(directory, "step").read_text())
    for step in range(start + 1, config.get("steps", 4) + 1):
        with tempfile.TemporaryDirectory() as directory:
            Path(directory, "step").write_text(str(step))
            tune.report(
                {"step": step, "started": start}, checkpoint=tune.Checkpoint.from_directory(directory)
            )
        if step == config.get("fails_at") and start == 0:
            raise ValueError("as planned")


class Counter(Trainable):
    def setup(self, config: dict[str, Any]) -> None:
        self.count = 0
        self.by = config.get("by", 1)

    def step(self) -> dict[str, Any]:
        self.count += self.by
        return {"count": self.count, "made_by": os.getpid(), "object": id(self)}

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        return {"count": self.count}

    def load_checkpoint(self, checkpoint: Any) -> None:
        self.count = checkpoint["count"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.count, self.by = 0, new_config.get("by", 1)
        return True


def test_a_search(quiet: RunConfig, tmp_path: Path) -> None:
    results = Tuner(
        climb,
        param_space={"x": tune.grid_search([1, 3, 2]), "deep": {"lr": tune.uniform(0, 1)}},
        tune_config=TuneConfig(metric="score", mode="max"),
        run_config=quiet,
    ).fit()
    assert len(results) == 3 and results.num_terminated == 3 and results.errors == []
    best = results.get_best_result()
    assert best.config is not None and best.metrics is not None
    assert best.config["x"] == 3 and best.metrics["score"] == 9
    facts = {key: best.metrics[key] for key in ("training_iteration", "done", "iterations_since_restore")}
    assert facts == {"training_iteration": 3, "done": True, "iterations_since_restore": 3}
    assert results.get_best_result("score", "min").config["x"] == 1  # type: ignore[index]
    assert results.get_best_result("deep/er", "max", scope="avg").metrics["deep"] == {"er": 3}  # type: ignore[index]
    assert results.experiment_path == str(tmp_path / "run")
    assert best.metrics_dataframe is not None and list(best.metrics_dataframe["score"]) == [3, 6, 9]
    frame = results.get_dataframe()
    assert list(frame["score"]) == [3, 9, 6] and list(frame["config/x"]) == [1, 3, 2]
    assert list(results.get_dataframe("score", "min")["score"]) == [1, 3, 2]
    assert repr(results).count("Result(") == 3 and "'score': 9" in repr(best)


def test_what_a_trial_leaves(quiet: RunConfig) -> None:
    result = Tuner(climb, param_space={"x": 2, "fn": len}, run_config=quiet).fit()[0]
    files = sorted(name for name in os.listdir(result.path) if not name.startswith("events"))
    assert files == ["params.json", "params.pkl", "progress.csv", "result.json"]
    assert json.loads(Path(result.path, "params.json").read_text())["x"] == 2
    assert pickle.loads(Path(result.path, "params.pkl").read_bytes()) == {"x": 2, "fn": len}
    rows = [json.loads(line) for line in Path(result.path, "result.json").read_text().splitlines()]
    assert [row["score"] for row in rows] == [2, 4, 6]
    header = Path(result.path, "progress.csv").read_text().splitlines()[0].split(",")
    assert header[:2] == ["score", "timestamp"] and header[-1] == "deep/er" and "config" not in header
    assert Path(result.path).name.startswith("climb_") and str(result.metrics["trial_id"]) in result.path  # type: ignore[index]
    again = tune.Result.from_path(result.path)
    assert again.metrics is not None and again.metrics["score"] == 6 and again.error is None


@pytest.mark.parametrize(
    ("function", "metrics"),
    [
        (lambda config: {"a": 1}, {"a": 1, "training_iteration": 1}),
        (lambda config: 5, {"_metric": 5, "training_iteration": 1}),
        (lambda config: None, {}),
        (lambda config: train.report({"a": 2}), {"a": 2}),
        (lambda config: air_session.report({"a": 3}), {"a": 3}),
    ],
)
def test_the_ways_to_report(quiet: RunConfig, function: Any, metrics: dict[str, Any]) -> None:
    result = Tuner(function, run_config=quiet).fit()[0]
    assert result.error is None and result.metrics is not None
    assert {**result.metrics, **metrics} == result.metrics and result.metrics["done"] is True


def test_functions_may_yield_and_return_at_the_end(quiet: RunConfig) -> None:
    def yields(config: dict[str, Any]) -> Any:
        yield {"a": 1}
        yield 2

    def both(config: dict[str, Any]) -> Any:
        tune.report({"a": 1})
        return {"a": 2}

    first = Tuner(yields, run_config=quiet).fit()[0]
    assert first.metrics_dataframe is not None and len(first.metrics_dataframe) == 2
    assert first.metrics["_metric"] == 2  # type: ignore[index]
    second = Tuner(both, run_config=dataclasses.replace(quiet, name="second")).fit()[0]
    assert second.metrics["a"] == 2 and second.metrics["training_iteration"] == 2  # type: ignore[index]


def test_a_trial_knows_itself(quiet: RunConfig, tmp_path: Path) -> None:
    def asks(config: dict[str, Any]) -> Any:
        context = tune.get_context()
        Path("made.txt").write_text("by the trial")
        return {
            "directory": context.get_trial_dir(),
            "id": context.get_trial_id(),
            "name": context.get_trial_name(),
            "experiment": context.get_experiment_name(),
            "resources": context.get_trial_resources().required_resources,
            "world": (context.get_world_size(), context.get_world_rank()),
        }

    result = Tuner(tune.with_resources(asks, {"cpu": 0.5}), run_config=quiet).fit()[0]
    assert result.metrics is not None
    assert result.metrics["directory"] == result.path and result.metrics["experiment"] == "run"
    assert result.metrics["name"] == f"asks_{result.metrics['id']}" and result.metrics["world"] == (1, 0)
    assert result.metrics["resources"] == {"CPU": 0.5}
    assert Path(result.path, "made.txt").exists()
    assert tune.get_context().get_trial_id() is None and tune.get_checkpoint() is None


def test_checkpoints_are_kept_by_score(quiet: RunConfig) -> None:
    config = CheckpointConfig(num_to_keep=2, checkpoint_score_attribute="step", checkpoint_score_order="min")
    result = Tuner(with_checkpoints, run_config=dataclasses.replace(quiet, checkpoint_config=config)).fit()[0]
    names = sorted(name for name in os.listdir(result.path) if name.startswith("checkpoint_"))
    assert names == ["checkpoint_000000", "checkpoint_000001", "checkpoint_000003"]
    assert result.checkpoint is not None and result.checkpoint.path.endswith("checkpoint_000003")
    best = result.get_best_checkpoint("step", "min")
    assert best is not None and Path(best.path, "step").read_text() == "1"
    assert result.metrics is not None and result.metrics["checkpoint_dir_name"] == "checkpoint_000003"


def test_a_failed_function_goes_on_from_its_checkpoint(quiet: RunConfig) -> None:
    run_config = dataclasses.replace(quiet, failure_config=FailureConfig(max_failures=1))
    result = Tuner(with_checkpoints, param_space={"fails_at": 2}, run_config=run_config).fit()[0]
    assert result.error is None and result.metrics is not None
    assert (result.metrics["step"], result.metrics["started"]) == (4, 2)
    assert result.metrics["training_iteration"] == 4 and result.metrics["iterations_since_restore"] == 2
    assert "as planned" in Path(result.path, "error.txt").read_text()


def test_class_trainables_are_saved(quiet: RunConfig) -> None:
    config = CheckpointConfig(checkpoint_frequency=2, checkpoint_at_end=True)
    run_config = dataclasses.replace(quiet, checkpoint_config=config, stop={"training_iteration": 5})
    result = Tuner(Counter, run_config=run_config).fit()[0]
    names = sorted(name for name in os.listdir(result.path) if name.startswith("checkpoint_"))
    assert names == [f"checkpoint_{number:06d}" for number in range(3)]
    fresh = Counter()
    assert result.checkpoint is not None
    fresh.restore(result.checkpoint)
    assert fresh.count == 5 and fresh.iteration == 5 and fresh.train()["count"] == 6


@pytest.mark.parametrize("reuse", [False, True])
def test_processes_are_reused(quiet: RunConfig, reuse: bool) -> None:
    results = Tuner(
        Counter,
        param_space={"by": tune.grid_search([1, 10, 100])},
        tune_config=TuneConfig(reuse_actors=reuse, max_concurrent_trials=1),
        run_config=dataclasses.replace(quiet, stop={"training_iteration": 2}),
    ).fit()
    found = [result.metrics or {} for result in results]
    assert [metrics["count"] for metrics in found] == [2, 20, 200]
    assert len({metrics["made_by"] for metrics in found}) == 1
    if reuse:
        assert len({metrics["object"] for metrics in found}) == 1


def test_a_failure_of_one_trial_is_its_own(quiet: RunConfig) -> None:
    def sometimes(config: dict[str, Any]) -> Any:
        if config["what"] == "raises":
            raise ValueError("on purpose")
        if config["what"] == "exits":
            sys.exit(3)
        if config["what"] == "dies":
            os._exit(9)
        if config["what"] == "reports badly":
            tune.report(5)  # type: ignore[arg-type]
        if config["what"] == "is not a number":
            return {"score": math.nan}
        return {"score": 1}

    kinds = ["raises", "exits", "dies", "reports badly", "is not a number", "works"]
    results = Tuner(
        sometimes,
        param_space={"what": tune.grid_search(kinds)},
        tune_config=TuneConfig(metric="score", mode="max"),
        run_config=quiet,
    ).fit()
    errors = [result.error for result in results]
    assert isinstance(errors[0], ValueError) and "on purpose" in str(errors[0])
    assert isinstance(errors[1], skate.exceptions.RayActorError)
    assert isinstance(errors[2], skate.exceptions.RayActorError)
    assert isinstance(errors[3], TypeError) and "dictionary of metrics" in str(errors[3])
    assert errors[4:] == [None, None] and results.num_errors == 4
    assert results.get_best_result().config["what"] == "works"  # type: ignore[index]
    assert "on purpose" in Path(results[0].path, "error.txt").read_text()


def test_what_can_not_be_is_said_at_once(quiet: RunConfig) -> None:
    lock = threading.Lock()
    with pytest.raises(TypeError, match="lock"):
        Tuner(lambda config: lock, run_config=quiet).fit()
    with pytest.raises(ValueError, match="single 'config'"):
        Tuner(lambda config, data: 1, run_config=quiet).fit()
    with pytest.raises(ValueError, match="must be a dict"):
        Tuner(climb, param_space=5, run_config=quiet)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one of \\['min', 'max'\\]"):
        Tuner(climb, tune_config=TuneConfig(mode="best"), run_config=quiet)
    with pytest.raises(TuneError, match="Unknown trainable: nosuch"):
        Tuner("nosuch", run_config=quiet).fit()
    with pytest.raises(TuneError, match="asks for"):
        Tuner(tune.with_resources(climb, {"cpu": 99}), param_space={"x": 1}, run_config=quiet).fit()
    with pytest.raises(TuneError, match=r"`scoer`.*'score'"):
        Tuner(
            climb, param_space={"x": 1}, tune_config=TuneConfig(metric="scoer", mode="max"), run_config=quiet
        ).fit()


def test_trials_that_run_tasks_do_not_starve(quiet: RunConfig) -> None:
    @skate.remote
    def square(x: int) -> int:
        return x * x

    def nested(config: dict[str, Any]) -> Any:
        return {"sum": sum(skate.get([square.remote(i) for i in range(config["n"])]))}

    results = Tuner(nested, param_space={"n": tune.grid_search([2, 3, 4, 5])}, run_config=quiet).fit()
    assert [result.metrics["sum"] for result in results] == [1, 5, 14, 30]  # type: ignore[index]


def test_large_objects_are_bound(quiet: RunConfig) -> None:
    table = list(range(1000))

    def uses(config: dict[str, Any], data: list[int], factor: int = 1) -> Any:
        return {"total": sum(data) * config["x"] * factor}

    class Uses(Trainable):
        def setup(self, config: dict[str, Any], data: Any = None) -> None:
            self.data = data

        def step(self) -> dict[str, Any]:
            return {"total": len(self.data), "done": True}

    function = tune.with_parameters(uses, data=table, factor=2)
    assert Tuner(function, param_space={"x": 2}, run_config=quiet).fit()[0].metrics["total"] == 1998000  # type: ignore[index]
    run_config = dataclasses.replace(quiet, name="class")
    result = Tuner(tune.with_parameters(Uses, data=table), run_config=run_config).fit()[0]
    assert result.metrics is not None and result.metrics["total"] == 1000


def test_what_is_printed_is_kept(quiet: RunConfig) -> None:
    def prints(config: dict[str, Any]) -> None:
        print("to the file")
        print("an error", file=sys.stderr)

    result = Tuner(prints, run_config=dataclasses.replace(quiet, log_to_file=True)).fit()[0]
    assert Path(result.path, "stdout").read_text() == "to the file\n"
    assert Path(result.path, "stderr").read_text() == "an error\n"


def test_run_takes_the_older_ways_to_say_which_checkpoints(tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning, match="use checkpoint_config") as said:
        analysis = tune.run(
            with_checkpoints,
            storage_path=str(tmp_path),
            keep_checkpoints_num=2,
            checkpoint_score_attr="min-step",
            verbose=0,
        )
    assert ["num_to_keep" in str(said[0].message), "score_attribute" in str(said[1].message)] == [True, True]
    (trial,) = analysis.trials
    config = trial.checkpoint_config
    assert (config.num_to_keep, config.checkpoint_score_attribute) == (2, "step")
    assert config.checkpoint_score_order == "min"
    # What ended trials held is there again.
    assert skate.available_resources()["CPU"] == skate.cluster_resources()["CPU"]


def test_run_and_its_analysis(tmp_path: Path) -> None:
    analysis = tune.run(
        climb,
        config={"x": tune.grid_search([1, 2])},
        metric="score",
        mode="max",
        storage_path=str(tmp_path),
        name="old",
        verbose=0,
    )
    assert analysis.best_config == {"x": 2} and analysis.best_result["score"] == 6
    assert list(analysis.best_dataframe["score"]) == [2, 4, 6]
    assert sorted(analysis.results) == sorted(trial.trial_id for trial in analysis.trials)
    assert list(analysis.results_df["score"]) == [3, 6] and len(analysis.trial_dataframes) == 2
    later = tune.ExperimentAnalysis(analysis.experiment_path, default_metric="score", default_mode="min")
    assert later.best_config == {"x": 1} and later.get_best_config("score", "max", scope="avg") == {"x": 2}
    with pytest.raises(TuneError, match="did not complete"):
        tune.run(with_checkpoints, config={"fails_at": 1}, storage_path=str(tmp_path), verbose=0)


def test_registered_names_and_experiments(tmp_path: Path) -> None:
    tune.register_trainable("climber", climb)
    place = {"storage_path": str(tmp_path), "stop": {"training_iteration": 2}}
    trials = tune.run_experiments(
        {
            "one": {"run": "climber", "config": {"x": 1}, **place},
            "two": {"run": "climber", "config": {"x": 2}, **place},
        },
        verbose=0,
    )
    assert [trial.last_result["score"] for trial in trials] == [2, 4]
    experiment = tune.Experiment("three", climb, config={"x": 3}, storage_path=str(tmp_path))
    assert tune.run(experiment, verbose=0).trials[0].last_result["score"] == 9


def test_what_is_shown(quiet: RunConfig, capsys: pytest.CaptureFixture[str]) -> None:
    config = dataclasses.replace(quiet, verbose=1)
    Tuner(climb, param_space={"x": tune.grid_search([1, 2])}, run_config=config).fit()
    shown = capsys.readouterr().out
    assert "Trial name" in shown and "2 TERMINATED" in shown and "score" in shown
    reporter = tune.CLIReporter(metric_columns={"score": "points"}, max_report_frequency=0)
    config = dataclasses.replace(config, progress_reporter=reporter, name="cli")
    Tuner(climb, param_space={"x": 2}, run_config=config).fit()
    assert "points" in capsys.readouterr().out


def test_on_remote_storage(tmp_path: Path) -> None:
    fs = pytest.importorskip("pyarrow.fs")
    remote = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    config = RunConfig(name="run", storage_path="bucket", storage_filesystem=remote, verbose=0)
    results = Tuner(with_checkpoints, run_config=config).fit()
    assert results[0].path.startswith("bucket/run/") and results[0].checkpoint is not None
    with results[0].checkpoint.as_directory() as directory:
        assert Path(directory, "step").read_text() == "4"
    assert (tmp_path / results[0].path / "result.json").exists()
    assert results[0].metrics_dataframe is not None and len(results[0].metrics_dataframe) == 4
    restored = Tuner.restore("bucket/run", with_checkpoints, storage_filesystem=remote)
    assert restored.get_results()[0].metrics["step"] == 4  # type: ignore[index]


def test_a_tuner_fits_again(tmp_path: Path) -> None:
    tuner = Tuner(
        climb,
        param_space={"x": tune.grid_search([1, 2])},
        tune_config=TuneConfig(max_concurrent_trials=-1),  # below 0: no limit
        run_config=RunConfig(storage_path=str(tmp_path), name="again", verbose=0),
    )
    before, after = tuner.fit(), tuner.fit()
    assert sorted(result.metrics["score"] for result in after) == [3, 6]  # type: ignore[index]
    assert len(tuner.get_results()) == len(before) == 2


def test_resume_begins_where_there_is_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    analysis = tune.run(
        climb, config={"x": 1}, name="new", storage_path=str(tmp_path), resume=True, verbose=0
    )
    assert [trial.last_result["score"] for trial in analysis.trials] == [3]
    assert "there is no experiment in" in caplog.text
