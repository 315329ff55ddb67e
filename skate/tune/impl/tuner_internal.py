"""What stands behind `Tuner`: the checks, what is kept for a restore, and the restore."""

from __future__ import annotations

import inspect
import os
import pickle
from typing import Any

import cloudpickle

from skate.air.config import CheckpointConfig, FailureConfig, RunConfig
from skate.air.storage import resolve
from skate.tune.analysis import ExperimentAnalysis
from skate.tune.callback import Callback
from skate.tune.error import TuneError
from skate.tune.execution.experiment_state import find_newest
from skate.tune.execution.runner import SearchSettings, run_search
from skate.tune.experiment.experiment import Experiment
from skate.tune.impl.choose import choose_reporter, choose_scheduler, choose_search
from skate.tune.registry import is_function_trainable
from skate.tune.result_grid import ResultGrid
from skate.tune.tune_config import ResumeConfig, TuneConfig
from skate.tune.utils.dictionaries import flatten_dict
from skate.tune.utils.util import date_str

__all__ = [
    "TUNER_FILE",
    "TunerInternal",
    "can_restore",
]

TUNER_FILE = "tuner.pkl"


class TunerInternal:
    """What stands behind `Tuner`.

    Args:
        restore_path: The directory of an experiment to take up again; None: a new one.
        storage_filesystem: The file system on which it lies.
        resume_config: What happens to its trials.
        trainable: What is run.
        param_space: The search space.
        tune_config: How the search is done.
        run_config: How the run is kept.

    Raises:
        ValueError, TypeError: an argument is wrong.
        TuneError: the trainable is of no use.
    """

    def __init__(
        self,
        restore_path: str | None = None,
        storage_filesystem: Any = None,
        resume_config: ResumeConfig | None = None,
        trainable: Any = None,
        param_space: dict[str, Any] | None = None,
        tune_config: TuneConfig | None = None,
        run_config: Any = None,
        _tuner_kwargs: dict[str, Any] | None = None,
        _entrypoint: Any = None,
    ) -> None:
        self._resume = resume_config
        self._tuner_kwargs = dict(_tuner_kwargs or {})
        self._analysis: ExperimentAnalysis | None = None
        if trainable is None:
            raise TuneError("You need to provide a trainable to tune.")
        if restore_path is not None:
            self._restore(restore_path, trainable, param_space, storage_filesystem)
            return
        self._tune_config = tune_config or TuneConfig()
        self._run_config = self._as_run_config(self._chosen(run_config, trainable, param_space))
        self._trainable = self._from_trainer(trainable)
        self._param_space = self._check_space(param_space)
        self._name = self._run_config.name or f"{self._trainable_name()}_{date_str()}"
        self._check_config()

    def _from_trainer(self, trainable: Any) -> Any:
        """A trainer knows how to become a trainable."""
        return trainable.as_trainable() if _is_trainer(trainable) else trainable

    def _chosen(self, run_config: Any, trainable: Any, param_space: Any) -> Any:
        """A trainer brings its own run configuration, which counts if the Tuner is given none."""
        if not _is_trainer(trainable):
            return run_config
        if isinstance(param_space, dict) and "run_config" in param_space:
            raise ValueError(
                "`RunConfig` cannot be tuned as part of the `param_space`! Move the run config to be a parameter of the `Tuner`: "
                "Tuner(..., run_config=RunConfig(...))"
            )
        return trainable.run_config if run_config is None else run_config

    def _check_space(self, param_space: Any) -> dict[str, Any]:
        if param_space is not None and hasattr(param_space, "to_dict"):
            param_space = param_space.to_dict()
        if param_space is not None and not isinstance(param_space, dict):
            raise ValueError(
                f"The `param_space` passed to the `Tuner` must be a dict. Got '{type(param_space)}' instead."
            )
        return param_space or {}

    def _as_run_config(self, run_config: Any) -> RunConfig:
        if run_config is None:
            return RunConfig()
        if isinstance(run_config, RunConfig):
            return run_config
        names = (
            "name",
            "storage_path",
            "storage_filesystem",
            "failure_config",
            "checkpoint_config",
            "callbacks",
        )
        if all(hasattr(run_config, name) for name in names):  # Train's, which knows less
            known = {name: getattr(run_config, name) for name in names}
            known["callbacks"] = [each for each in known["callbacks"] or () if isinstance(each, Callback)]
            known["checkpoint_config"] = _shared_checkpoints(known["checkpoint_config"])
            known["failure_config"] = FailureConfig(max_failures=known["failure_config"].max_failures)
            return RunConfig(**known)
        raise ValueError(f"run_config={run_config!r} is no RunConfig: pass tune.RunConfig(…).")

    def _check_config(self) -> None:
        mode = self._tune_config.mode
        if mode is not None and not isinstance(mode, list) and mode not in ("min", "max"):
            raise ValueError("The `mode` parameter passed to `Tuner(...)` must be one of ['min', 'max']")

    def _trainable_name(self) -> str:
        return Experiment.get_trainable_name(self._trainable)

    # -- a search ----------------------------------------

    def fit(self) -> ResultGrid:
        """Do the search, or go on with it."""
        experiment = self._experiment()
        tune_config, run_config = self._tune_config, self._run_config
        assert isinstance(run_config.failure_config, FailureConfig)
        settings = SearchSettings(
            search_alg=choose_search(
                tune_config.search_alg,
                experiment,
                tune_config.metric,
                tune_config.mode,
                tune_config.max_concurrent_trials,
                tune_config.scheduler,
            ),
            scheduler=choose_scheduler(tune_config.scheduler),
            metric=tune_config.metric,
            mode=tune_config.mode,
            callbacks=list(run_config.callbacks or []),
            reporter=choose_reporter(
                run_config.progress_reporter,
                run_config.verbose,
                experiment.spec,
                tune_config.metric,
                tune_config.mode,
            ),
            fail_fast=run_config.failure_config.fail_fast,
            reuse_actors=tune_config.reuse_actors,
            resume=self._resume,
            before=lambda: self._save(experiment),
        )
        trials = run_search([experiment], settings)
        metric = tune_config.metric or settings.search_alg.metric
        self._analysis = ExperimentAnalysis(
            experiment.path,
            storage_filesystem=experiment.storage.storage_filesystem,
            trials=trials,
            default_metric=metric if isinstance(metric, str) else None,
            default_mode=tune_config.mode if isinstance(tune_config.mode, str) else None,
        )
        return ResultGrid(self._analysis)

    def _experiment(self) -> Experiment:
        tune_config, run_config = self._tune_config, self._run_config
        assert run_config.failure_config is not None
        return Experiment(
            self._name,
            self._trainable,
            stop=run_config.stop,
            time_budget_s=tune_config.time_budget_s,
            config=self._param_space,
            num_samples=tune_config.num_samples,
            storage_path=run_config.storage_path,
            storage_filesystem=run_config.storage_filesystem,
            sync_config=run_config.sync_config,
            checkpoint_config=run_config.checkpoint_config,
            trial_name_creator=tune_config.trial_name_creator,
            trial_dirname_creator=tune_config.trial_dirname_creator,
            log_to_file=run_config.log_to_file,
            max_failures=run_config.failure_config.max_failures,
            **self._tuner_kwargs,
        )

    def get_results(self) -> ResultGrid:
        """The results of the search.

        Raises:
            RuntimeError: it has not been done.
        """
        if self._analysis is None:
            raise RuntimeError(
                "Can't return results as experiment has not been run, yet. Call `Tuner.fit()` to run the experiment first."
            )
        return ResultGrid(self._analysis)

    # -- kept for a restore ------------------------------

    def _save(self, experiment: Experiment) -> None:
        """Keep what a restore needs besides the trainable, which is passed again."""
        state = {
            "trainable_name": self._trainable_name(),
            "is_function": is_function_trainable(experiment.run_identifier),
            "param_space": self._param_space,
            "tune_config": self._tune_config,
            "run_config": self._run_config,
            "tuner_kwargs": self._tuner_kwargs,
        }
        try:
            data = cloudpickle.dumps(state)
        except Exception as error:
            culprit = next(key for key, value in state.items() if not _pickles(value))
            raise TypeError(
                f"the {culprit} of the Tuner can't be pickled, and so the experiment could not be restored: {error}. Make "
                "what can't be pickled inside of the trainable."
            ) from error
        experiment.storage.store.write(f"{experiment.path}/{TUNER_FILE}", data)

    def _restore(
        self, path: str, trainable: Any, param_space: dict[str, Any] | None, filesystem: Any
    ) -> None:
        store, place = resolve(path, filesystem)
        file = f"{place}/{TUNER_FILE}"
        if not store.exists(file):
            raise FileNotFoundError(
                f"there is no experiment of a Tuner in {path!r} (it has no {TUNER_FILE}): pass the experiment's directory, as "
                "ResultGrid.experiment_path gives it."
            )
        state = pickle.loads(store.read(file))
        self._trainable = self._from_trainer(trainable)
        self._check_same(self._trainable, state)
        self._param_space = state["param_space"]
        if param_space is not None:
            self._param_space = self._check_space(param_space)
            _check_same_keys(self._param_space, state["param_space"])
        self._tune_config = state["tune_config"]
        self._run_config = state["run_config"]
        self._tuner_kwargs = state["tuner_kwargs"]
        # The directory may have been moved, and renamed.
        parent, self._name = os.path.split(place.rstrip("/"))
        self._run_config.storage_path = parent or "/"
        self._run_config.storage_filesystem = None if store.is_local else store.filesystem
        self._run_config.name = self._name
        if find_newest(store, place) is None:  # it died before the first trial
            self._resume = None
            return
        self._experiment()  # registers the trainable
        self._analysis = ExperimentAnalysis(
            place,
            storage_filesystem=self._run_config.storage_filesystem,
            default_metric=self._tune_config.metric if isinstance(self._tune_config.metric, str) else None,
            default_mode=self._tune_config.mode if isinstance(self._tune_config.mode, str) else None,
        )

    def _check_same(self, trainable: Any, state: dict[str, Any]) -> None:
        name, before = Experiment.get_trainable_name(trainable), state["trainable_name"]
        if name != before:
            raise ValueError(
                "Invalid `trainable` input to `Tuner.restore()`. To fix this error, pass in the same trainable that was used to "
                f"initialize the Tuner. Got a trainable with identifier '{name}' but expected '{before}'."
            )


def _check_same_keys(given: dict[str, Any], before: dict[str, Any]) -> None:
    names = sorted(map(str, flatten_dict(given))), sorted(map(str, flatten_dict(before)))
    if names[0] != names[1]:
        raise ValueError(
            "Invalid `param_space` input to `Tuner.restore()`. To fix this error, pass in the same `param_space` that was used "
            f"to initialize the Tuner; only what can't be kept may be other objects.\nGot: {names[0]}\nExpected: {names[1]}"
        )


def _is_trainer(trainable: Any) -> bool:
    return hasattr(trainable, "as_trainable") and not inspect.isclass(trainable)


def _shared_checkpoints(config: Any) -> CheckpointConfig:
    names = ("num_to_keep", "checkpoint_score_attribute", "checkpoint_score_order")
    return CheckpointConfig(**{name: getattr(config, name) for name in names})


def _pickles(value: Any) -> bool:
    try:
        cloudpickle.dumps(value)
    except Exception:  # noqa: BLE001 - whatever it is, it means no
        return False
    return True


def can_restore(path: str | os.PathLike[str], storage_filesystem: Any = None) -> bool:
    """Whether there is an experiment of a Tuner in a directory."""
    store, place = resolve(path, storage_filesystem)
    return store.exists(f"{place}/{TUNER_FILE}")
