"""`tune.run`: a search in one call."""

from __future__ import annotations

import datetime
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from skate.air.config import CheckpointConfig, FailureConfig, SyncConfig
from skate.tune.analysis import ExperimentAnalysis
from skate.tune.error import TuneError
from skate.tune.execution.experiment_state import find_newest
from skate.tune.execution.runner import SearchSettings, check_experiments, run_search
from skate.tune.experiment.experiment import Experiment, convert_to_experiments
from skate.tune.experiment.trial import Trial
from skate.tune.impl.choose import choose_reporter, choose_scheduler, choose_search
from skate.tune.tune_config import ResumeConfig
from skate.tune.utils.util import date_str

if TYPE_CHECKING:
    from skate.tune.callback import Callback

__all__ = [
    "run",
    "run_experiments",
]

_logger = logging.getLogger(__name__)

_DEPRECATED = "DEPRECATED"


def run(
    run_or_experiment: str | Callable[..., Any] | type | Experiment,
    *,
    name: str | None = None,
    metric: str | None = None,
    mode: str | None = None,
    stop: Mapping[str, Any] | Any | Callable[[str, Mapping[str, Any]], bool] | None = None,
    time_budget_s: float | datetime.timedelta | None = None,
    config: dict[str, Any] | None = None,
    resources_per_trial: Any = None,
    num_samples: int = 1,
    storage_path: str | None = None,
    storage_filesystem: Any = None,
    search_alg: Any = None,
    scheduler: Any = None,
    checkpoint_config: CheckpointConfig | None = None,
    verbose: Any = None,
    progress_reporter: Any = None,
    log_to_file: Any = False,
    trial_name_creator: Callable[[Trial], str] | None = None,
    trial_dirname_creator: Callable[[Trial], str] | None = None,
    sync_config: SyncConfig | None = None,
    export_formats: Sequence[str] | None = None,
    max_failures: int = 0,
    fail_fast: bool | str = False,
    restore: str | None = None,
    resume: bool | str | None = None,
    resume_config: ResumeConfig | None = None,
    reuse_actors: bool = False,
    raise_on_failed_trial: bool = True,
    callbacks: Sequence[Callback] | None = None,
    max_concurrent_trials: int | None = None,
    keep_checkpoints_num: int | None = None,
    checkpoint_score_attr: str | None = None,
    checkpoint_freq: int = 0,
    checkpoint_at_end: bool = False,
    chdir_to_trial_dir: Any = _DEPRECATED,
    local_dir: str | None = None,
    _remote: bool | None = None,
    _remote_string_queue: Any = None,
    _entrypoint: Any = None,
) -> ExperimentAnalysis:
    """Do a search. `Tuner(...).fit()` is the newer way to say the same.

    Args:
        run_or_experiment: A function, a class, a registered name, or an `Experiment`.
        name: The experiment's name, and that of its directory.
        metric: The metric by which trials are compared.
        mode: Whether it is to become "min" or "max".
        stop: When a trial is done: metrics and the values at which it stops, a function, or a `Stopper`.
        time_budget_s: Seconds after which the search stops.
        config: The search space.
        resources_per_trial: What each trial holds; default: one CPU.
        num_samples: How often each combination of the grids is tried; -1: without end.
        storage_path: A directory or URI; default: $SKATE_RESULTS, or ~/ray_results.
        storage_filesystem: A pyarrow or fsspec file system on which `storage_path` lies.
        search_alg: What suggests parameters: an object, or a name that `create_searcher` knows.
        scheduler: What decides how long trials run: an object, or a name that `create_scheduler` knows.
        checkpoint_config: Which checkpoints are made and kept.
        verbose: 0 prints nothing, 1 a table now and then, 2 each result too.
        progress_reporter: What prints the progress.
        log_to_file: Whether what trials print is kept in files of their directories.
        trial_name_creator: Makes a trial's name.
        trial_dirname_creator: Makes the name of a trial's directory.
        sync_config: How files reach remote storage.
        export_formats: Formats of a model to export at each trial's end.
        max_failures: How often a trial is started again; -1: without end.
        fail_fast: True ends the search at the first failure; "raise" also raises its error.
        restore: A checkpoint that each trial begins from.
        resume: Take up the experiment of this name again: True, "AUTO" if there is one, "ERRORED" also what failed.
        resume_config: What happens to its trials then.
        reuse_actors: Whether class trainables become other trials by `reset_config`.
        raise_on_failed_trial: Whether a failed trial raises at the end.
        callbacks: `Callback` objects.
        max_concurrent_trials: How many trials run at once.
        keep_checkpoints_num: The older way to say `CheckpointConfig(num_to_keep)`.
        checkpoint_score_attr: The older way to say `CheckpointConfig(checkpoint_score_attribute)`; with "min-" before it, less is
            better.
        checkpoint_freq: The older way to say `CheckpointConfig(checkpoint_frequency)`.
        checkpoint_at_end: The older way to say `CheckpointConfig(checkpoint_at_end)`.
        chdir_to_trial_dir: No longer accepted: set the environment variable RAY_CHDIR_TO_TRIAL_DIR=0.
        local_dir: No longer accepted: say `storage_path`.

    Returns:
        The experiment's trials and results.

    Raises:
        TuneError: a trial failed, or the search can't be done.
        ValueError: an argument is wrong.

    Example:
        >>> import skate, tempfile
        >>> from skate import tune
        >>> with tempfile.TemporaryDirectory() as directory, skate.init(num_cpus=1):
        ...     analysis = tune.run(
        ...         lambda config: {"loss": (config["x"] - 3) ** 2},
        ...         config={"x": tune.grid_search([1, 2, 3])},
        ...         metric="loss", mode="min", storage_path=directory, verbose=0,
        ...     )
        ...     analysis.best_config
        {'x': 3}
    """
    if local_dir is not None:
        raise DeprecationWarning(
            "`local_dir` is deprecated. Use `storage_path` to set the directory where results are kept."
        )
    if chdir_to_trial_dir != _DEPRECATED:
        raise DeprecationWarning(
            "`chdir_to_trial_dir` is deprecated. Set the environment variable RAY_CHDIR_TO_TRIAL_DIR=0."
        )
    older = _OlderCheckpointArguments(
        keep_checkpoints_num, checkpoint_score_attr, checkpoint_freq, checkpoint_at_end
    )
    checkpoint_config = older.put_into(checkpoint_config or CheckpointConfig())
    if mode and mode not in ("min", "max"):
        raise ValueError("The `mode` parameter passed to `tune.run()` has to be one of ['min', 'max']")
    if config is not None and not isinstance(config, dict):
        raise ValueError(f"The `config` passed to `tune.run()` must be a dict. Got '{type(config)}' instead.")
    FailureConfig(max_failures=max_failures, fail_fast=fail_fast)  # says what does not go together
    if isinstance(run_or_experiment, Experiment | list):
        experiments = convert_to_experiments(run_or_experiment)
    else:
        experiments = [
            Experiment(
                name or f"{Experiment.get_trainable_name(run_or_experiment)}_{date_str()}",
                run_or_experiment,
                stop=stop,
                time_budget_s=time_budget_s,
                config=config,
                resources_per_trial=resources_per_trial,
                num_samples=num_samples,
                storage_path=storage_path,
                storage_filesystem=storage_filesystem,
                sync_config=sync_config,
                checkpoint_config=checkpoint_config,
                trial_name_creator=trial_name_creator,
                trial_dirname_creator=trial_dirname_creator,
                log_to_file=log_to_file,
                export_formats=export_formats,
                max_failures=max_failures,
                restore=restore,
            )
        ]
    check_experiments(experiments)
    first = experiments[0]
    settings = SearchSettings(
        search_alg=choose_search(search_alg, first, metric, mode, max_concurrent_trials, scheduler),
        scheduler=choose_scheduler(scheduler),
        metric=metric,
        mode=mode,
        callbacks=list(callbacks or []),
        reporter=choose_reporter(progress_reporter, verbose, first.spec, metric, mode),
        fail_fast=fail_fast,
        reuse_actors=reuse_actors,
        resume=_resume(resume, resume_config, first),
    )
    trials = run_search(experiments, settings)
    failed = [trial for trial in trials if trial.status != Trial.TERMINATED]
    if failed and raise_on_failed_trial:
        errors = [trial for trial in failed if trial.status == Trial.ERROR]
        if errors:
            raise TuneError("Trials did not complete", errors)
    return ExperimentAnalysis(
        first.path,
        storage_filesystem=first.storage.storage_filesystem,
        trials=trials,
        default_metric=metric or _one(settings.search_alg.metric),
        default_mode=mode,
    )


@dataclass
class _OlderCheckpointArguments:
    """What `run` once took for what `CheckpointConfig` says now."""

    keep_checkpoints_num: int | None
    checkpoint_score_attr: str | None
    checkpoint_freq: int
    checkpoint_at_end: bool

    def put_into(self, config: CheckpointConfig) -> CheckpointConfig:
        """The configuration with these in place, each with a warning."""
        changes: dict[str, Any] = {}
        if self.keep_checkpoints_num is not None:
            changes["num_to_keep"] = self._older("keep_checkpoints_num", "num_to_keep")
        if self.checkpoint_score_attr is not None:
            name: str = self._older("checkpoint_score_attr", "checkpoint_score_attribute")
            changes["checkpoint_score_attribute"] = name.removeprefix("min-")
            changes["checkpoint_score_order"] = "min" if name.startswith("min-") else "max"
        if self.checkpoint_freq > 0:
            changes["checkpoint_frequency"] = self._older("checkpoint_freq", "checkpoint_frequency")
        if self.checkpoint_at_end:
            changes["checkpoint_at_end"] = self._older("checkpoint_at_end", "checkpoint_at_end")
        return replace(config, **changes) if changes else config

    def _older(self, name: str, newer: str) -> Any:
        warnings.warn(
            f"{name} is deprecated and will be removed. use checkpoint_config.{newer} instead: "
            f"checkpoint_config=CheckpointConfig({newer}=…).",
            DeprecationWarning,
            stacklevel=4,
        )
        return getattr(self, name)


def _one(metric: Any) -> str | None:
    return metric if isinstance(metric, str) else None


def _resume(
    resume: bool | str | None, config: ResumeConfig | None, experiment: Experiment
) -> ResumeConfig | None:
    """What happens to the trials that there are; None: a fresh start."""
    if resume or config is not None:
        words = {str(each).upper() for each in str(resume).split("+")} if resume else {"TRUE"}
        kinds = ResumeConfig.ResumeType
        known = {"TRUE", "AUTO", "LOCAL", "REMOTE", "PROMPT", "ERRORED_ONLY", "ERRORED", "RESTART_ERRORED"}
        known |= {"RESTART_ERRORED_ONLY", "LOCAL_ONLY"}
        if words - known:
            raise ValueError(f"resume={resume!r} is not one of {sorted(known)}.")
        if find_newest(experiment.storage.store, experiment.path) is None:
            if "AUTO" not in words:
                _logger.warning(
                    "resume=%r: there is no experiment in %r to go on with, and so a new one begins.",
                    resume or config,
                    experiment.path,
                )
            return None
        if config is not None:
            return config
        errored = kinds.SKIP
        if words & {"ERRORED", "ERRORED_ONLY"}:
            errored = kinds.RESUME
        if words & {"RESTART_ERRORED", "RESTART_ERRORED_ONLY"}:
            errored = kinds.RESTART
        only = words & {"ERRORED_ONLY", "RESTART_ERRORED_ONLY"}
        return ResumeConfig(unfinished=kinds.SKIP if only else kinds.RESUME, errored=errored)
    return None


def run_experiments(
    experiments: Experiment | Mapping[str, Any] | Sequence[Experiment | Mapping[str, Any]],
    scheduler: Any = None,
    verbose: Any = None,
    progress_reporter: Any = None,
    resume: bool | str | None = None,
    resume_config: ResumeConfig | None = None,
    reuse_actors: bool = False,
    raise_on_failed_trial: bool = True,
    concurrent: bool = True,
    callbacks: Sequence[Callback] | None = None,
    _remote: bool | None = None,
) -> list[Trial]:
    """Run experiments.

    Args:
        experiments: An experiment, several, or a dictionary of their arguments by name.
        scheduler: What decides how long trials run.
        verbose: How much is printed.
        progress_reporter: What prints the progress.
        resume: Whether to take them up again; see `run`.
        resume_config: What happens to their trials then.
        reuse_actors: Whether class trainables become other trials by `reset_config`.
        raise_on_failed_trial: Whether a failed trial raises at the end.
        concurrent: Whether all experiments run at once, or one after the other.
        callbacks: `Callback` objects.

    Returns:
        Their trials.
    """
    found = convert_to_experiments(dict(experiments) if isinstance(experiments, Mapping) else experiments)
    check_experiments(found)
    groups = [found] if concurrent else [[each] for each in found]
    trials: list[Trial] = []
    for group in groups:
        analysis = run(
            group,  # type: ignore[arg-type]  # `run` knows what to do with a list; users have no need to
            scheduler=scheduler,
            verbose=verbose,
            progress_reporter=progress_reporter,
            resume=resume,
            resume_config=resume_config,
            reuse_actors=reuse_actors,
            raise_on_failed_trial=raise_on_failed_trial,
            callbacks=callbacks,
        )
        trials += analysis.trials
    return trials
