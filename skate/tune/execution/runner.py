"""Sets up a search, drives it to its end, and keeps what a restore needs."""

from __future__ import annotations

import logging
import os
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cloudpickle

import skate
from skate.tune import result as _keys
from skate.tune.callback import Callback, CallbackList
from skate.tune.error import TuneError
from skate.tune.execution.executor import ActorExecutor
from skate.tune.execution.experiment_state import ExperimentJournal, load_trials
from skate.tune.execution.tune_controller import TuneController
from skate.tune.experiment.lock import DriverLock
from skate.tune.experiment.trial import Trial
from skate.tune.schedulers.trial_scheduler import FIFOScheduler, TrialScheduler
from skate.tune.search.basic_variant import BasicVariantGenerator
from skate.tune.stopper import Stopper
from skate.tune.tune_config import ResumeConfig
from skate.tune.utils.callback import with_default_callbacks
from skate.tune.utils.util import date_str

if TYPE_CHECKING:
    from skate.tune.experiment.experiment import Experiment
    from skate.tune.experiment.storage import ExperimentStorage
    from skate.tune.search.search_algorithm import SearchAlgorithm

__all__ = [
    "SearchSettings",
    "check_experiments",
    "has_domains",
    "run_search",
]

_logger = logging.getLogger(__name__)

_WRITTEN = (_keys.EXPR_RESULT_FILE, _keys.EXPR_PROGRESS_FILE, _keys.EXPR_ERROR_FILE, "stdout", "stderr")
"""What is appended to in a trial's directory."""

_SAVE_EVERY_S = 10.0
_SAVE_SHARE = 0.05
"""The share of its time that a search may spend on saving what its searcher has learned."""


@dataclass
class SearchSettings:
    """How a search is done.

    Args:
        search_alg: Where trials come from.
        scheduler: What decides how long they run.
        metric: The metric by which they are compared.
        mode: "min" or "max".
        callbacks: The user's callbacks.
        reporter: What shows the progress, or None.
        fail_fast: Whether the first failure ends the search.
        reuse_actors: Whether trainables become other trials.
        resume: What happens to the trials that there are already; None: a fresh start.
        before: Called before the first trial, once this driver is the one that writes the experiment's directory.
    """

    search_alg: SearchAlgorithm
    scheduler: TrialScheduler = field(default_factory=FIFOScheduler)
    metric: str | None = None
    mode: str | None = None
    callbacks: list[Callback] = field(default_factory=list)
    reporter: Any = None
    fail_fast: bool | str = False
    reuse_actors: bool = False
    resume: ResumeConfig | None = None
    before: Callable[[], None] | None = None


def run_search(experiments: list[Experiment], settings: SearchSettings) -> list[Trial]:
    """Do a search.

    Args:
        experiments: What to try. All are kept where the first is.
        settings: How.

    Returns:
        Its trials.

    Raises:
        TuneError: another driver works on the experiment.
    """
    if not skate.is_initialized():
        skate.init()
    storage = experiments[0].storage
    storage.make()
    lock = DriverLock(storage)
    lock.take()
    try:
        if settings.before is not None:
            settings.before()
        run = _Run(experiments, settings, lock)
        try:
            return run.to_the_end()
        finally:
            run.close()
    finally:
        lock.release()


class _Run:
    def __init__(self, experiments: list[Experiment], settings: SearchSettings, lock: DriverLock) -> None:
        self._lock = lock
        self._experiments = experiments
        self._settings = settings
        self._storage: ExperimentStorage = experiments[0].storage
        self._session = date_str()
        self._start_time = time.time()
        self._saved_at = float("-inf")
        self._saving_took = 0.0
        self._synced_at = time.monotonic()
        stoppers = [experiment.stopper for experiment in experiments]
        self._stopper = stoppers[0] if len(stoppers) == 1 else _PerExperiment(experiments)
        self._journal = ExperimentJournal(self._storage, self._session)
        trials = self._restore() if settings.resume is not None else []
        self._set_properties()
        settings.search_alg.add_configurations(experiments)
        if settings.resume is not None:
            settings.search_alg.resume(trials)
        self._callbacks = CallbackList(self._all_callbacks())
        self._executor = ActorExecutor(settings.reuse_actors)
        total = settings.search_alg.total_samples
        spec = experiments[0].spec
        self._callbacks.call(
            "setup",
            stop=spec["stop"],
            time_budget_s=spec["time_budget_s"],
            num_samples=spec["num_samples"],
            total_num_samples=total,
            start_time=self._start_time,
            metric=settings.metric,
            mode=settings.mode,
            config=spec["config"],
        )
        if settings.resume is not None:
            self._restore_callbacks()
        os.makedirs(self._storage.local_path, exist_ok=True)
        # The searcher is saved before the journal begins: a journal without it could not be gone on from.
        self._save_what_was_learned(force=True)
        self._journal.open(trials, {"experiment": self._storage.name, "start_time": self._start_time})
        self._controller = TuneController(
            search_alg=settings.search_alg,
            scheduler=settings.scheduler,
            executor=self._executor,
            stopper=self._stopper,
            callbacks=self._callbacks,
            journal=self._journal,
            fail_fast=settings.fail_fast,
            max_pending=self._max_pending(),
            trials=trials,
        )
        if settings.reporter is not None and hasattr(settings.reporter, "should_report"):
            settings.reporter.setup(
                start_time=self._start_time, total_samples=total, metric=settings.metric, mode=settings.mode
            )

    def _all_callbacks(self) -> list[Callback]:
        found = with_default_callbacks(self._settings.callbacks)
        if isinstance(self._settings.reporter, Callback):
            found.append(self._settings.reporter)
        return found

    def _set_properties(self) -> None:
        settings, spec = self._settings, self._experiments[0].spec
        public = self._experiments[0].public_spec
        known = settings.search_alg.set_search_properties(
            settings.metric, settings.mode, spec["config"], **public
        )
        if (
            not known
            and has_domains(spec["config"])
            and not isinstance(settings.search_alg, BasicVariantGenerator)
        ):
            raise ValueError(
                "You passed a `metric` or `mode` argument to `tune.TuneConfig()`, or a search space, but the search algorithm "
                "you are using was already instantiated with their own `metric`, `mode` or search space. Give them in "
                "one place only."
            )
        if not settings.scheduler.set_search_properties(settings.metric, settings.mode, **public):
            raise ValueError(
                "You passed a `metric` or `mode` argument to `tune.TuneConfig()`, but the scheduler you are using was already "
                "instantiated with their own `metric` and `mode` parameters. Either remove the arguments from your "
                "scheduler or from `tune.TuneConfig()`"
            )

    def _max_pending(self) -> int:
        """How many trials are made ahead. A searcher learns from each trial before it suggests the next."""
        given = os.environ.get("TUNE_MAX_PENDING_TRIALS_PG", "auto")
        if given != "auto":
            return int(given)
        if not isinstance(self._settings.search_alg, BasicVariantGenerator):
            return 1
        return max(16, int(skate.cluster_resources().get("CPU", 1) * 1.1))

    # -- to the end --------------------------------------

    def to_the_end(self) -> list[Trial]:
        controller = self._controller
        try:
            while not controller.is_finished():
                controller.step()
                self._save_what_was_learned()
                self._report()
                self._sync()
        except KeyboardInterrupt:
            _logger.warning(
                "Stopped by Ctrl-C. What has been done is kept in %s: Tuner.restore(path, trainable) goes on from there.",
                self._storage.path,
            )
        finally:
            self._save_what_was_learned(force=True)
            self._callbacks.call("on_experiment_end", trials=controller.get_trials())
        self._report(done=True)
        return controller.get_trials()

    def close(self) -> None:
        self._executor.shutdown()
        self._journal.close()
        self._storage.sync_up()
        if not self._storage.store.is_local:
            self._storage.close()

    def _report(self, done: bool = False) -> None:
        reporter, trials = self._settings.reporter, self._controller.get_trials()
        if reporter is None:
            return
        if hasattr(reporter, "should_report"):
            if reporter.should_report(trials, done=done):
                reporter.report(trials, done, *self._resource_lines())
        elif not done:
            reporter.print_heartbeat(trials, *self._resource_lines())

    def _resource_lines(self) -> list[str]:
        used, total = self._controller.resources()
        held = [f"{used.get(name, 0):g}/{total.get(name, 0):g} {name}s" for name in ("CPU", "GPU")]
        return [f"Logical resource usage: {', '.join(held)}"]

    def _sync(self) -> None:
        now = time.monotonic()
        if now - self._synced_at > self._storage.sync_config.sync_period:
            self._synced_at = now
            self._storage.sync_up()
            self._lock.renew()

    # -- what a restore needs ----------------------------

    def _save_what_was_learned(self, force: bool = False) -> None:
        """Save the searcher's state now and then, so that it costs a small share of the search's time at most."""
        now = time.monotonic()
        if not force and now - self._saved_at < max(_SAVE_EVERY_S, self._saving_took / _SAVE_SHARE):
            return
        directory = self._storage.local_path
        os.makedirs(directory, exist_ok=True)
        self._settings.search_alg.save_to_dir(directory, session_str=self._session)
        path = os.path.join(directory, f"driver-state-{self._session}.pkl")
        callbacks = self._callbacks.get_state()
        with open(f"{path}.partial", "wb") as file:
            cloudpickle.dump({"callbacks": callbacks, "stopper": self._stopper}, file)
        os.replace(f"{path}.partial", path)
        self._saved_at = time.monotonic()
        self._saving_took = self._saved_at - now

    def _restore(self) -> list[Trial]:
        """Take the trials up again."""
        assert self._settings.resume is not None
        self._download_state()
        trials, facts = load_trials(self._storage)
        self._start_time = facts.get("start_time", self._start_time)
        directory = self._storage.local_path
        if self._settings.search_alg.has_checkpoint(directory):
            self._settings.search_alg.restore_from_dir(directory)
        state = self._driver_state()
        if state is not None and isinstance(state["stopper"], Stopper) and len(self._experiments) == 1:
            self._stopper = state["stopper"]
        taken = [_take_up(trial, self._settings.resume, self._experiments[0]) for trial in trials]
        for trial in taken:
            if not trial.is_finished():  # what it writes from now on follows what it has written
                self._storage.bring_down(f"{trial.relative_logdir}/{name}" for name in _WRITTEN)
        return taken

    def _download_state(self) -> None:
        """Bring what is kept on remote storage to where it is read from."""
        names = self._storage.store.list_dir(self._storage.path)
        self._storage.bring_down(
            name
            for name in names
            if name.endswith((".pkl", ".json")) and not name.startswith(("experiment_state", "."))
        )

    def _driver_state(self) -> dict[str, Any] | None:
        directory = self._storage.local_path
        names = sorted(
            name
            for name in os.listdir(directory)
            if name.startswith("driver-state-") and name.endswith(".pkl")
        )
        if not names:
            return None
        with open(os.path.join(directory, names[-1]), "rb") as file:
            state: dict[str, Any] = pickle.load(file)
        return state

    def _restore_callbacks(self) -> None:
        state = self._driver_state()
        if state is not None and state["callbacks"]:
            self._callbacks.set_state(state["callbacks"])


class _PerExperiment(Stopper):
    """Several experiments in one search: each has its own stopper."""

    def __init__(self, experiments: list[Experiment]) -> None:
        self._stoppers = [experiment.stopper for experiment in experiments]

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return any([stopper(trial_id, result) for stopper in self._stoppers])  # noqa: C419 - each must see it

    def stop_all(self) -> bool:
        return any(stopper.stop_all() for stopper in self._stoppers)


def _take_up(trial: Trial, resume: ResumeConfig, experiment: Experiment) -> Trial:
    """A trial of an experiment that is restored, ready to go on, to begin anew, or as it was."""
    kinds = ResumeConfig.ResumeType
    wanted = resume.unfinished
    if trial.status == Trial.TERMINATED:
        wanted = resume.finished
    elif trial.status == Trial.ERROR:
        wanted = resume.errored
    trial.max_failures = experiment.spec["max_failures"]
    if wanted == kinds.SKIP:
        if not trial.is_finished():
            trial.set_status(Trial.TERMINATED)
        return trial
    if wanted == kinds.RESTART:
        _forget_progress(trial)
    trial.num_failures_after_restore = 0
    trial.error = None
    trial.set_status(Trial.PENDING)
    return trial


def _forget_progress(trial: Trial) -> None:
    """Begin anew, in the same directory."""
    trial.checkpoints = type(trial.checkpoints)(trial.checkpoint_config)
    trial.start_checkpoint = None
    trial.set_last_result({})
    trial.num_failures = 0
    if trial.storage is not None and trial.path is not None:
        for name in ("result.json", "progress.csv", "error.txt", "error.pkl"):
            trial.storage.store.delete(f"{trial.path}/{name}")


def has_domains(config: dict[str, Any]) -> bool:
    """Whether there is anything to choose in a search space."""
    from skate.tune.search.variant_generator import parse_spec_vars

    _, domains, grids = parse_spec_vars({"config": config})
    return bool(domains or grids)


def check_experiments(experiments: list[Experiment]) -> None:
    """Refuse what can't be run together.

    Raises:
        TuneError: there is no experiment.
    """
    if not experiments:
        raise TuneError("there is no experiment to run: pass a trainable, or at least one Experiment.")
