"""Trials that only pretend to run, for tests of what decides about them: no process, no clock, no sleep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skate.air import Checkpoint
from skate.air.checkpoint_manager import TrainingResult
from skate.tune.callback import CallbackList
from skate.tune.execution.budget import Budget
from skate.tune.execution.executor import Event, Executor, Kind
from skate.tune.execution.experiment_state import ExperimentJournal
from skate.tune.execution.tune_controller import TuneController
from skate.tune.experiment import Experiment, Trial
from skate.tune.schedulers import FIFOScheduler, TrialScheduler
from skate.tune.search import BasicVariantGenerator, SearchAlgorithm
from skate.tune.stopper import NoopStopper
from skate.tune.trainable import Trainable

if TYPE_CHECKING:
    from skate.tune import Callback, Stopper
    from skate.tune.execution.placement_groups import PlacementGroupFactory

Learner = Callable[[dict[str, Any], int], Any]
"""What a trial reports: of its parameters and the iteration, a value, metrics, or an exception that it fails with."""


class Pretend(Trainable):
    """Stands for a class trainable; it is never made."""


class SimulatedExecutor(Executor):
    """Runs trials in turn, each iteration at once; so many of them are done at the same moment."""

    def __init__(
        self,
        learner: Learner,
        cpus: float = 2,
        takes_s: Callable[[dict[str, Any]], float] = lambda _: 1.0,
        at_once: int = 1,
    ):
        self.at_once = at_once
        self.learner = learner
        self.budget = Budget({"CPU": cpus})
        self.takes_s = takes_s
        self.log: list[str] = []
        self._asked: list[tuple[Trial, Kind]] = []
        self._iteration: dict[str, int] = {}
        self._time: dict[str, float] = {}
        self.running: set[str] = set()

    def has_room(self, request: PlacementGroupFactory) -> bool:
        return self.budget.has_room(request)

    def missing(self, request: PlacementGroupFactory) -> dict[str, float]:
        return self.budget.missing(request)

    def used(self) -> tuple[dict[str, float], dict[str, float]]:
        return self.budget.used, self.budget.total

    def start(self, trial: Trial) -> None:
        self.budget.hold(trial.trial_id, trial.placement_group_factory)
        newest = trial.latest_checkpoint_result
        self._iteration[trial.trial_id] = newest.metrics["training_iteration"] if newest else 0
        self._time[trial.trial_id] = newest.metrics["time_total_s"] if newest else 0.0
        self.running.add(trial.trial_id)
        self.log.append(f"start {trial.trial_id[-2:]} at {self._iteration[trial.trial_id]}")
        self.train(trial)

    def train(self, trial: Trial) -> None:
        self._asked.append((trial, Kind.RESULT))

    def save(self, trial: Trial) -> None:
        self._asked.append((trial, Kind.SAVED))

    def save_now(self, trial: Trial) -> TrainingResult:
        return self._saved(trial)

    def finish_save(self, trial: Trial) -> TrainingResult:
        self._asked.remove((trial, Kind.SAVED))
        return self._saved(trial)

    def export(self, trial: Trial) -> None:
        raise NotImplementedError

    def stop(self, trial: Trial, failed: bool = False) -> None:
        self.budget.release(trial.trial_id)
        self.running.discard(trial.trial_id)
        self._asked = [each for each in self._asked if each[0] is not trial]
        self.log.append(f"{'fail' if failed else 'stop'} {trial.trial_id[-2:]}")

    def wait(self, timeout: float) -> list[Event]:
        return [self._next() for _ in range(min(self.at_once, len(self._asked)))]

    def _next(self) -> Event:
        trial, kind = self._asked.pop(0)
        if kind == Kind.SAVED:
            return Event(trial, Kind.SAVED, self._saved(trial))
        name = trial.trial_id
        self._iteration[name] += 1
        self._time[name] += self.takes_s(trial.config)
        value = self.learner(trial.config, self._iteration[name])
        if isinstance(value, Exception):
            return Event(trial, Kind.RESULT, error=value)
        metrics = dict(value) if isinstance(value, dict) else {"score": value}
        facts = {
            "training_iteration": self._iteration[name],
            "time_total_s": self._time[name],
            "trial_id": name,
            "config": trial.config,
            "done": False,
        }
        return Event(trial, Kind.RESULT, ({**facts, **metrics}, None))

    def _saved(self, trial: Trial) -> TrainingResult:
        name = trial.trial_id
        facts = {"training_iteration": self._iteration[name], "time_total_s": self._time[name]}
        return TrainingResult(Checkpoint(f"/pretend/{name}/{self._iteration[name]}"), facts)

    def shutdown(self) -> None:
        """Nothing to end."""


def simulate(
    directory: Path,
    learner: Learner,
    space: dict[str, Any] | None = None,
    *,
    scheduler: TrialScheduler | None = None,
    search: SearchAlgorithm | None = None,
    stopper: Stopper | None = None,
    callbacks: list[Callback] | None = None,
    cpus: float = 2,
    takes_s: Callable[[dict[str, Any]], float] = lambda _: 1.0,
    metric: str | None = "score",
    mode: str | None = "max",
    fail_fast: bool | str = False,
    most_steps: int = 20_000,
    at_once: int = 1,
    trainable: type[Trainable] = Pretend,
    **spec: Any,
) -> tuple[TuneController, SimulatedExecutor]:
    """Do a search that only pretends, to its end."""
    experiment = Experiment("pretend", trainable, config=space or {}, storage_path=str(directory), **spec)
    search = search or BasicVariantGenerator(random_state=1)
    scheduler = scheduler or FIFOScheduler()
    search.set_search_properties(metric, mode, experiment.spec["config"], **experiment.public_spec)
    scheduler.set_search_properties(metric, mode, **experiment.public_spec)
    search.add_configurations([experiment])
    executor = SimulatedExecutor(learner, cpus, takes_s, at_once)
    journal = ExperimentJournal(experiment.storage, "now")
    journal.open([], {})
    controller = TuneController(
        search_alg=search,
        scheduler=scheduler,
        executor=executor,
        stopper=stopper or experiment.stopper or NoopStopper(),
        callbacks=CallbackList(callbacks or []),
        journal=journal,
        fail_fast=fail_fast,
        max_pending=16,
    )
    steps = 0
    try:
        while not controller.is_finished():
            controller.step()
            steps += 1
            assert steps < most_steps, f"no end after {steps} steps: {executor.log[-20:]}"
    finally:
        journal.close()
    return controller, executor
