from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skate import tune
from skate.air import CheckpointConfig
from skate.tune import Callback, TuneError
from skate.tune.execution.executor import Kind
from skate.tune.execution.experiment_state import load_trials
from skate.tune.experiment import Trial
from skate.tune.experiment.storage import ExperimentStorage
from skate.tune.schedulers import FIFOScheduler, PopulationBasedTraining, TrialScheduler
from skate.tune.search import BasicVariantGenerator
from tests.tune.simulation import SimulatedExecutor, simulate

GRID = {"x": tune.grid_search([1, 2, 3])}


class Diary(Callback):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def setup(self, **info: Any) -> None:  # type: ignore[override]
        self.lines.append("setup")

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.lines.append(f"start {trial.config['x']}")

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: Any, **info: Any
    ) -> None:
        self.lines.append(f"result {trial.config['x']} {result['score']}")

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.lines.append(f"complete {trial.config['x']}")

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.lines.append(f"recover {trial.config['x']}")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self.lines.append(f"error {trial.config['x']}")


def test_trials_run_to_their_stopping_criterion(tmp_path: Path) -> None:
    diary = Diary()
    controller, executor = simulate(
        tmp_path, lambda config, i: config["x"] * i, GRID, stop={"training_iteration": 2}, callbacks=[diary]
    )
    assert [trial.last_result["score"] for trial in controller.get_trials()] == [2, 4, 6]
    assert all(trial.status == Trial.TERMINATED for trial in controller.get_trials())
    assert executor.log[:2] == ["start 00 at 0", "start 01 at 0"] and not executor.budget.used
    assert diary.lines.index("complete 1") < diary.lines.index("start 3")
    assert [line for line in diary.lines if line.endswith("1") or " 1 " in line] == [
        "start 1",
        "result 1 1",
        "result 1 2",
        "complete 1",
    ]


def test_what_a_trial_reported_is_summed_up(tmp_path: Path) -> None:
    controller, _ = simulate(tmp_path, lambda config, i: {"score": i, "deep": {"a": -i}}, stop={"score": 12})
    trial = controller.get_trials()[0]
    known = trial.metric_analysis["deep/a"]
    assert (known["max"], known["min"], known["avg"], known["last"]) == (-1, -12, -6.5, -12)
    assert (known["last-5-avg"], known["last-10-avg"]) == (-10, -7.5)


def test_a_failed_trial_is_tried_again_from_its_checkpoint(tmp_path: Path) -> None:
    failures = iter([ValueError("once"), ValueError("twice")])

    def learner(config: dict[str, Any], i: int) -> Any:
        return next(failures, i) if i == 3 else i

    diary = Diary()
    controller, executor = simulate(
        tmp_path,
        learner,
        {"x": 7},
        stop={"score": 4},
        max_failures=2,
        checkpoint_config=CheckpointConfig(checkpoint_frequency=1),
        callbacks=[diary],
    )
    trial = controller.get_trials()[0]
    assert trial.status == Trial.TERMINATED and trial.num_failures == 2
    assert executor.log.count("start 00 at 2") == 2 and diary.lines.count("recover 7") == 2
    assert trial.error_file is not None and Path(trial.error_file).read_text().count("Failure #") == 2


def test_others_go_on_when_one_fails_for_good(tmp_path: Path) -> None:
    diary = Diary()
    controller, _ = simulate(
        tmp_path,
        lambda config, i: ValueError("no") if config["x"] == 2 else i,
        GRID,
        stop={"score": 2},
        callbacks=[diary],
    )
    assert [trial.status for trial in controller.get_trials()] == ["TERMINATED", "ERROR", "TERMINATED"]
    assert "error 2" in diary.lines
    assert isinstance(controller.get_trials()[1].get_pickled_error(), ValueError)


def test_failing_fast(tmp_path: Path) -> None:
    def learner(config: dict[str, Any], i: int) -> Any:
        return KeyError("first") if config["x"] == 1 else i

    controller, executor = simulate(tmp_path, learner, GRID, stop={"score": 9}, fail_fast=True)
    assert {trial.status for trial in controller.get_trials()} <= {
        "ERROR",
        "TERMINATED",
    } and not executor.running
    with pytest.raises(KeyError, match="first"):
        simulate(tmp_path / "raise", learner, GRID, stop={"score": 9}, fail_fast="raise")


def test_a_stopper_ends_everything(tmp_path: Path) -> None:
    class Enough(tune.Stopper):
        seen = 0

        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            self.seen += 1
            return False

        def stop_all(self) -> bool:
            return self.seen >= 5

    controller, executor = simulate(tmp_path, lambda config, i: i, num_samples=-1, stopper=Enough())
    assert not executor.running and len(controller.get_trials()) < 30
    assert all(trial.is_finished() for trial in controller.get_trials())


def test_checkpoints_are_made_and_kept_by_score(tmp_path: Path) -> None:
    config = CheckpointConfig(
        checkpoint_frequency=2,
        checkpoint_at_end=True,
        num_to_keep=1,
        checkpoint_score_attribute="training_iteration",
    )
    controller, _ = simulate(tmp_path, lambda config, i: i, stop={"score": 5}, checkpoint_config=config)
    trial = controller.get_trials()[0]
    assert trial.checkpoint is not None and trial.checkpoint.path.endswith("/5")
    assert trial.next_checkpoint == 3 and len(trial.checkpoints.best_and_newest) == 1


def test_more_than_there_is_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(TuneError, match=r"asks for .*'CPU': 3.0.*all there is are .*'CPU': 2"):
        simulate(tmp_path, lambda config, i: i, resources_per_trial={"cpu": 3})


def test_all_bundles_count(tmp_path: Path) -> None:
    request = tune.PlacementGroupFactory([{"CPU": 1}, {"CPU": 1}])
    _, executor = simulate(
        tmp_path, lambda config, i: i, GRID, stop={"score": 1}, resources_per_trial=request
    )
    assert executor.log == [
        f"{what} 0{n}{at}" for n in range(3) for what, at in (("start", " at 0"), ("stop", ""))
    ]


def test_a_metric_that_nobody_reports_ends_the_search(tmp_path: Path) -> None:
    with pytest.raises(TuneError, match=r"`scoer`.*It reported \['score', 'time_totally'\]"):
        simulate(
            tmp_path, lambda config, i: {"score": i, "time_totally": 1}, metric="scoer", stop={"score": 2}
        )


def test_a_trial_that_does_not_report_the_metric_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def learner(config: dict[str, Any], i: int) -> Any:
        return {"other": i} if config["x"] == 3 else i

    controller, _ = simulate(tmp_path, learner, GRID, stop={"training_iteration": 2})
    assert [trial.status for trial in controller.get_trials()] == ["TERMINATED", "TERMINATED", "ERROR"]
    monkeypatch.setenv("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")
    controller, _ = simulate(tmp_path / "lax", learner, GRID, stop={"training_iteration": 2})
    assert {trial.status for trial in controller.get_trials()} == {"TERMINATED"}


class PauseOnce(FIFOScheduler):
    def __init__(self) -> None:
        self.paused: set[str] = set()

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        if trial.trial_id in self.paused:
            return TrialScheduler.CONTINUE
        self.paused.add(trial.trial_id)
        return TrialScheduler.PAUSE


def test_a_paused_trial_goes_on_from_where_it_was(tmp_path: Path) -> None:
    controller, executor = simulate(
        tmp_path, lambda config, i: i, GRID, scheduler=PauseOnce(), stop={"score": 3}, cpus=1
    )
    starts = [line for line in executor.log if line.startswith("start")]
    assert starts == [f"start 0{n} at {at}" for at in (0, 1) for n in range(3)]
    assert [trial.last_result["score"] for trial in controller.get_trials()] == [3, 3, 3]


def test_only_as_many_at_once_as_are_wanted(tmp_path: Path) -> None:
    search = BasicVariantGenerator(max_concurrent=1)
    _, executor = simulate(tmp_path, lambda config, i: i, GRID, search=search, stop={"score": 2}, cpus=8)
    assert [line.split()[0] for line in executor.log] == ["start", "stop"] * 3


def test_the_journal_tells_all(tmp_path: Path) -> None:
    controller, _ = simulate(
        tmp_path,
        lambda config, i: ValueError("no") if config["x"] == 2 else {"score": i, "t": (1, 2)},
        {**GRID, "kept": {"tuple": (1, 2), 3: "int key"}},
        stop={"score": 2},
        checkpoint_config=CheckpointConfig(checkpoint_at_end=True),
    )
    trials, _ = load_trials(ExperimentStorage(str(tmp_path), "pretend"))
    for trial, known in zip(trials, controller.get_trials(), strict=True):
        assert trial.trial_id == known.trial_id and trial.status == known.status
        assert trial.config == known.config and trial.relative_logdir == known.relative_logdir
        assert trial.checkpoint == known.checkpoint and trial.num_failures == known.num_failures
        if known.has_reported_at_least_once:
            assert trial.last_result == known.last_result
    assert isinstance(trials[1].error, ValueError)


def test_a_journal_that_was_cut_short_is_read_up_to_there(tmp_path: Path) -> None:
    simulate(tmp_path, lambda config, i: i, GRID, stop={"score": 2})
    journal = tmp_path / "pretend" / "experiment_state-now.json"
    whole = journal.read_bytes()
    storage = ExperimentStorage(str(tmp_path), "pretend")
    for length in range(len(whole) - 300, len(whole)):
        journal.write_bytes(whole[:length])
        trials, _ = load_trials(storage)
        assert [trial.config["x"] for trial in trials] == [1, 2, 3]
    lines = whole.splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:3], b"{broken\n", *lines[3:]]))
    with pytest.raises(ValueError, match="line 4 is damaged"):
        load_trials(storage)


@pytest.mark.parametrize("paused", [False, True])
def test_a_trial_that_can_not_be_saved_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paused: bool
) -> None:
    """What a scheduler asks for is told to the trial, not raised in the middle of the search."""
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=1,
        hyperparam_mutations={"x": [1, 2, 3, 4]},
        synch=paused,
    )

    def saved(self: SimulatedExecutor, trial: Any) -> Any:
        if trial.trial_id.endswith("3"):
            raise OSError("no space left")
        return whole(self, trial)

    whole = SimulatedExecutor._saved
    monkeypatch.setattr(SimulatedExecutor, "save_now", saved)
    monkeypatch.setattr(
        SimulatedExecutor,
        "finish_save",
        lambda self, trial: (self._asked.remove((trial, Kind.SAVED)), saved(self, trial))[1],
    )
    controller, executor = simulate(
        tmp_path,
        lambda config, i: config["x"] * 10 + i,
        {"x": tune.grid_search([1, 2, 3, 4])},
        scheduler=scheduler,
        cpus=4,
        stop={"training_iteration": 3},
    )
    failed = [trial for trial in controller.get_trials() if trial.status == "ERROR"]
    assert [trial.trial_id[-1] for trial in failed] == ["3"] and isinstance(failed[0].error, OSError)
    assert not executor.running
