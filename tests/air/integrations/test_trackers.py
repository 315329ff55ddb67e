"""Loggers for tracking services, against the newest releases of their libraries, where those are installed."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from skate import tune
from tests.tune.simulation import simulate

if TYPE_CHECKING:
    from skate.tune import Callback

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own


def run(tmp_path: Path, callback: Callback) -> None:
    """Two trials of two results, the second of which fails."""

    def learner(config: dict[str, Any], i: int) -> Any:
        return ValueError("no") if config["x"] == 2 and i == 2 else config["x"] * i

    simulate(
        tmp_path,
        learner,
        {"x": tune.grid_search([1, 2]), "deep": {"y": 3}},
        callbacks=[callback],
        stop={"training_iteration": 2},
    )


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    from skate.air.integrations.mlflow import MLflowLoggerCallback, setup_mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "MLFLOW_ALLOW_FILE_STORE", "true"
    )  # a database stays open for as long as the process lives
    uri = (tmp_path / "runs").as_uri()
    run(
        tmp_path / "search", MLflowLoggerCallback(tracking_uri=uri, experiment_name="search", tags={"a": "b"})
    )
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("search")
    runs = sorted(client.search_runs([experiment.experiment_id]), key=lambda each: each.data.params["x"])
    assert [each.info.status for each in runs] == ["FINISHED", "FAILED"]
    assert (
        runs[0].data.metrics["score"] == 2
        and runs[0].data.params["deep/y"] == "3"
        and runs[0].data.tags["a"] == "b"
    )
    module = setup_mlflow(
        {"lr": 0.1}, tracking_uri=uri, experiment_name="mine", create_experiment_if_not_exists=True
    )
    module.log_metric("loss", 1.0)
    module.end_run()
    mine = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert mine[0].data.params == {"lr": "0.1"} and mine[0].data.metrics == {"loss": 1.0}
    with pytest.raises(ValueError, match="there is no MLflow experiment"):
        setup_mlflow(tracking_uri=uri, experiment_name="other")


def test_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    from skate.air.integrations.wandb import WandbLoggerCallback

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_PROJECT_NAME", raising=False)
    with pytest.raises(ValueError, match="project name"):
        WandbLoggerCallback()
    run(tmp_path, WandbLoggerCallback(project="search", excludes=["deep"]))
    assert len(list(tmp_path.glob("pretend/*/wandb/offline-run-*"))) == 2
    wandb.teardown()


class Recorder:
    """Stands for a service's library: takes every call, and remembers it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, args, kwargs))
            return self

        return call

    def __setitem__(self, name: str, value: Any) -> None:
        self.calls.append(("set", (name, value), {}))


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Recorder]:
    def record(module: str) -> Recorder:
        recorder = Recorder()
        recorder.config = recorder  # a submodule of the library's
        monkeypatch.setattr(importlib.import_module(module), "_load", lambda *names: recorder)
        return recorder

    return record


def test_comet(tmp_path: Path, recorded: Callable[[str], Recorder]) -> None:
    library = recorded("skate.air.integrations.comet")
    from skate.air.integrations.comet import CometLoggerCallback

    run(tmp_path, CometLoggerCallback(tags=["t"], project_name="p"))
    names = [name for name, _, _ in library.calls]
    assert names.count("Experiment") == names.count("end") == 2 and names.count("add_tags") == 2
    assert ("log_metric", ("score", 2), {"step": 2}) in library.calls
    assert ("Experiment", (), {"project_name": "p"}) in library.calls


def test_aim(tmp_path: Path, recorded: Callable[[str], Recorder]) -> None:
    library = recorded("skate.tune.logger.aim")
    from skate.tune.logger.aim import AimLoggerCallback

    run(tmp_path, AimLoggerCallback(metrics=["score"]))
    tracked = [info for name, _, info in library.calls if name == "track"]
    assert [each["value"] for each in tracked if each["step"] == 1] == [1.0, 2.0] and len(tracked) == 3
    assert not any(math.isnan(each["value"]) for each in tracked)
    assert [name for name, _, _ in library.calls].count("close") == 2
