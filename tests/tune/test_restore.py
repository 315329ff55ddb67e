"""Searches that end before their end, and go on."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from skate import tune
from skate.tune import FailureConfig, ResumeConfig, RunConfig, TuneConfig, Tuner
from tests.support import REPO, wait_until
from tests.tune.killed_search import STEPS, TRIALS


def once(directory: Path, log: Path, kill_at: int | None) -> bool:
    """Run the search, or kill it when its trials have written so many lines; says whether it came to its end."""
    command = [sys.executable, "-m", "tests.tune.killed_search", str(directory), str(log)]
    process = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def reached() -> bool:
        return process.poll() is not None or (
            kill_at is not None and log.read_bytes().count(b"\n") >= kill_at
        )

    wait_until(reached, timeout=60, what="the search")
    ended = process.poll() is not None
    if not ended:
        process.send_signal(signal.SIGKILL)
    output, _ = process.communicate()
    assert not ended or process.returncode == 0, output
    return ended


def check(directory: Path, log: Path, kills: int) -> None:
    """Every trial is there once, with all its results; what had ended was not run again."""
    analysis = tune.ExperimentAnalysis(directory / "run", default_metric="value", default_mode="max")
    numbers = sorted(trial.config["number"] for trial in analysis.trials)
    assert numbers == list(range(TRIALS)), f"after {kills} kills"
    assert {trial.status for trial in analysis.trials} == {"TERMINATED"}
    lines = [line.split() for line in log.read_text().splitlines()]
    ended = {line[1]: float(line[2]) for line in lines if line[0] == "end"}
    for trial in analysis.trials:
        number, drawn = trial.config["number"], trial.config["drawn"]
        assert trial.last_result["value"] == number * STEPS + drawn and ended[str(number)] == drawn
        assert trial.path is not None
        rows = [json.loads(line) for line in Path(trial.path, "result.json").read_text().splitlines() if line]
        assert {row["value"] for row in rows} == {number * step + drawn for step in range(1, STEPS + 1)}
        assert trial.checkpoint is not None and Path(trial.checkpoint.path, "step").read_text() == str(STEPS)
    assert len({trial.trial_id for trial in analysis.trials}) == TRIALS
    # A trial that had ended, and whose end the driver had written down, was never begun again.
    first_end = {line[1]: at for at, line in reversed(list(enumerate(lines))) if line[0] == "end"}
    again = [line for at, line in enumerate(lines) if line[0] == "begin" and first_end.get(line[1], at) < at]
    assert len(again) <= 2 * kills, again
    assert all(int(line[2]) >= STEPS for line in again), "only the last words of a trial may be repeated"


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_a_driver_that_is_killed_loses_nothing(tmp_path: Path, kills: int) -> None:
    draw = random.Random(7)
    log = tmp_path / "log.txt"
    log.touch()
    done = 0
    place = tmp_path / "0"
    place.mkdir()
    while done < kills:
        if once(place, log, kill_at=log.read_bytes().count(b"\n") + draw.randint(1, 60)):
            check(place, log, kills)
            log.write_text("")  # the next search
            place = tmp_path / f"next-{done}"
            place.mkdir()
            continue
        done += 1
        moved = tmp_path / f"moved-{done}"
        place.rename(moved)
        place = moved
    assert once(place, log, None)
    check(place, log, kills)


def flaky(config: dict[str, Any]) -> None:
    tune.report({"score": config["x"]})
    if config["x"] >= 2 and not Path(config["mended"]).exists():
        raise ValueError("not mended")


@pytest.fixture
def broken(tmp_path: Path, session: None) -> Path:
    """An experiment in which two of four trials failed."""
    Tuner(
        flaky,
        param_space={"x": tune.grid_search([0, 1, 2, 3]), "mended": str(tmp_path / "mended")},
        tune_config=TuneConfig(metric="score", mode="max"),
        run_config=RunConfig(name="run", storage_path=str(tmp_path), verbose=0),
    ).fit()
    (tmp_path / "mended").touch()
    return tmp_path / "run"


def test_failed_trials_are_left_resumed_or_restarted(broken: Path) -> None:
    assert Tuner.can_restore(broken) and not Tuner.can_restore(broken.parent)
    assert Tuner.restore(broken, flaky).fit().num_errors == 2
    copy = broken.parent / "elsewhere" / "copy"
    shutil.copytree(broken, copy)
    restarted = Tuner.restore(copy, flaky, restart_errored=True).fit()
    assert restarted.num_errors == 0 and restarted.experiment_path == str(copy)
    assert [result.metrics["training_iteration"] for result in restarted] == [1, 1, 1, 1]  # type: ignore[index]
    resumed = Tuner.restore(broken, flaky, resume_errored=True)
    assert resumed.get_results().num_errors == 2
    results = resumed.fit()
    assert results.num_errors == 0 and results.get_best_result().config["x"] == 3  # type: ignore[index]
    assert [len(result.metrics_dataframe) for result in results] == [1, 1, 2, 2]  # type: ignore[arg-type]


def test_tune_run_resumes(broken: Path) -> None:
    def again(**how: Any) -> int:
        analysis = tune.run(
            flaky,
            name="run",
            config={"x": tune.grid_search([0, 1, 2, 3]), "mended": str(broken.parent / "mended")},
            storage_path=str(broken.parent),
            raise_on_failed_trial=False,
            verbose=0,
            **how,
        )
        return sum(trial.status == "ERROR" for trial in analysis.trials)

    assert again(resume=True) == 2
    assert again(resume="AUTO+ERRORED") == 0
    restart = ResumeConfig(finished=ResumeConfig.ResumeType.RESTART)
    assert again(resume_config=restart) == 0
    with pytest.raises(ValueError, match="is not one of"):
        again(resume="PERHAPS")


def test_what_can_not_be_restored_says_why(broken: Path) -> None:
    with pytest.raises(FileNotFoundError, match="has no tuner.pkl"):
        Tuner.restore(broken.parent, flaky)
    with pytest.raises(ValueError, match="expected 'flaky'"):
        Tuner.restore(broken, lambda config: None)
    with pytest.raises(ValueError, match=r"(?s)Invalid `param_space`.*Got: \['y'\]"):
        Tuner.restore(broken, flaky, param_space={"y": 1})


def test_an_experiment_that_is_interrupted_can_be_gone_on_with(tmp_path: Path, session: None) -> None:
    class Interrupt(tune.Callback):
        def on_trial_complete(self, **info: Any) -> None:  # type: ignore[override]
            raise KeyboardInterrupt

    def quick(config: dict[str, Any]) -> dict[str, Any]:
        return {"score": config["x"]}

    config = RunConfig(name="run", storage_path=str(tmp_path), verbose=0, callbacks=[Interrupt()])
    tuner = Tuner(quick, param_space={"x": tune.grid_search([1, 2, 3, 4])}, run_config=config)
    assert tuner.fit().num_terminated < 4
    internal = Tuner.restore(tmp_path / "run", quick)
    internal._internal._run_config.callbacks = []
    results = internal.fit()
    assert results.num_terminated == 4 and sorted(r.config["x"] for r in results) == [1, 2, 3, 4]  # type: ignore[index]


def test_max_failures_count_anew_after_a_restore(tmp_path: Path, session: None) -> None:
    def fails(config: dict[str, Any]) -> None:
        with open(tmp_path / "tries", "a") as file:
            file.write("x")
        raise ValueError("no")

    run_config = RunConfig(
        name="run", storage_path=str(tmp_path), verbose=0, failure_config=FailureConfig(max_failures=1)
    )
    assert Tuner(fails, run_config=run_config).fit().num_errors == 1
    assert (tmp_path / "tries").read_text() == "xx"
    assert Tuner.restore(tmp_path / "run", fails, resume_errored=True).fit().num_errors == 1
    assert (tmp_path / "tries").read_text() == "xxxx"
