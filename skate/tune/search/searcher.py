"""The base of searchers: they suggest parameters, and learn how well those did."""

from __future__ import annotations

import copy
import glob
import os
import pickle
from typing import TYPE_CHECKING, Any

import cloudpickle

from skate.air.result import look_up
from skate.tune.error import ArgumentError

if TYPE_CHECKING:
    from skate.tune.experiment.trial import Trial

__all__ = [
    "Searcher",
    "UNDEFINED_METRIC_MODE",
    "UNDEFINED_SEARCH_SPACE",
    "UNRESOLVED_SEARCH_SPACE",
]

UNRESOLVED_SEARCH_SPACE = (
    "You passed a `{par}` parameter to {cls} that contained unresolved search space definitions. {cls} should however "
    "be instantiated with fully configured search spaces only. To use Skate Tune's automatic search space conversion, "
    "pass the space definition as part of the `param_space` argument to `tune.Tuner()` instead."
)
UNDEFINED_SEARCH_SPACE = (
    "Trying to sample a configuration from {cls}, but no search space has been defined. Either pass the `{space}` "
    "argument when instantiating the search algorithm, or pass a `param_space` to `tune.Tuner()`."
)
UNDEFINED_METRIC_MODE = (
    "Trying to sample a configuration from {cls}, but the `metric` ({metric}) or `mode` ({mode}) parameters have not "
    "been set. Either pass these arguments when instantiating the search algorithm, or pass them to `tune.TuneConfig()`."
)


class Searcher:
    """Suggests parameters, and learns how well they did.

    A subclass defines `suggest` and `on_trial_complete`, and to be restored `save` and `restore`.

    Args:
        metric: The metric to make better; a list for several.
        mode: "min" or "max"; a list for several.

    Raises:
        ValueError: `metric` and `mode` don't fit together.
    """

    FINISHED = "FINISHED"
    """What `suggest` returns when there will be no more suggestions."""

    CKPT_FILE_TMPL = "searcher-state-{}.pkl"

    def __init__(self, metric: str | list[str] | None = None, mode: str | list[str] | None = None) -> None:
        self._metric = metric
        self._mode = mode
        if mode is None or metric is None:
            return
        if isinstance(mode, list) != isinstance(metric, list):
            raise ArgumentError(
                "If one of metric or mode is a list, both have to be lists of the same length."
            )
        modes = mode if isinstance(mode, list) else [mode]
        metrics = metric if isinstance(metric, list) else [metric]
        if len(modes) != len(metrics):
            raise ArgumentError(f"metric and mode must have as many entries: {metric!r} and {mode!r}.")
        for each in modes:
            if each not in ("min", "max", "obs"):
                raise ArgumentError(f"mode must be 'min', 'max' or 'obs', not {each!r}.")

    @property
    def metric(self) -> Any:
        """The metric to make better."""
        return self._metric

    @property
    def mode(self) -> Any:
        """Which way is better."""
        return self._mode

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Learn what is searched for; called before the first suggestion.

        Args:
            metric: The metric.
            mode: "min" or "max".
            config: The search space.
            **spec: What else is known about the experiment.

        Returns:
            Whether the search space could be taken up.
        """
        return False

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Suggest parameters.

        Args:
            trial_id: The id of the trial that they are for.

        Returns:
            The parameters; None if there are none now; `Searcher.FINISHED` if there will be no more.
        """
        raise NotImplementedError

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Learn of a result of a trial that goes on."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Learn that a trial has ended.

        Args:
            trial_id: Its id.
            result: Its last result, or None if it has none.
            error: Whether it failed.
        """
        raise NotImplementedError

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Learn how well parameters did that were tried elsewhere.

        Args:
            parameters: The parameters.
            value: The metric's value.
            error: Whether they failed.
            pruned: Whether they were stopped early.
            intermediate_values: The values before the last.

        Raises:
            NotImplementedError: this searcher can't.
        """
        raise NotImplementedError(
            f"{type(self).__name__} can't be told of points that were evaluated elsewhere."
        )

    def add_evaluated_trials(self, trials_or_analysis: Any, metric: str) -> None:
        """Learn from trials of another search.

        Args:
            trials_or_analysis: A trial, a list of trials, or an `ExperimentAnalysis`.
            metric: The metric.
        """
        from skate.tune.analysis import ExperimentAnalysis
        from skate.tune.experiment.trial import Trial

        trials: list[Trial]
        if isinstance(trials_or_analysis, ExperimentAnalysis):
            trials = trials_or_analysis.trials
        elif isinstance(trials_or_analysis, Trial):
            trials = [trials_or_analysis]
        else:
            trials = list(trials_or_analysis)
        for trial in trials:
            value = look_up(trial.last_result, metric)
            failed = trial.status == Trial.ERROR
            pruned = trial.status not in (Trial.TERMINATED, Trial.ERROR)
            if value is not None or failed:
                self.add_evaluated_point(trial.config, value, error=failed, pruned=pruned)

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Learn how many trials may run at once.

        Args:
            max_concurrent: The number.

        Returns:
            Whether this searcher sees to it by itself.
        """
        return False

    def on_pause(self, trial_id: str) -> None:
        """Learn that a trial has been paused."""

    def on_unpause(self, trial_id: str) -> None:
        """Learn that a trial goes on."""

    def get_state(self) -> dict[str, Any]:
        """What has been learned."""
        raise NotImplementedError

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what had been learned."""
        raise NotImplementedError

    def save(self, checkpoint_path: str) -> None:
        """Save what has been learned.

        Args:
            checkpoint_path: The file.
        """
        with open(checkpoint_path, "wb") as file:
            cloudpickle.dump(self._state_to_save(), file)

    def restore(self, checkpoint_path: str) -> None:
        """Take back what was saved.

        Args:
            checkpoint_path: The file.
        """
        with open(checkpoint_path, "rb") as file:
            self.__dict__.update(pickle.load(file))

    def _state_to_save(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Save what has been learned into a directory.

        Args:
            checkpoint_dir: The directory.
            session_str: What tells this run of the experiment from others.
        """
        path = os.path.join(checkpoint_dir, self.CKPT_FILE_TMPL.format(session_str))
        self.save(f"{path}.partial")
        os.replace(f"{path}.partial", path)

    def restore_from_dir(self, checkpoint_dir: str) -> None:
        """Take back what was saved last into a directory.

        Args:
            checkpoint_dir: The directory.

        Raises:
            RuntimeError: nothing was saved there.
        """
        found = sorted(glob.glob(os.path.join(glob.escape(checkpoint_dir), self.CKPT_FILE_TMPL.format("*"))))
        if not found:
            raise RuntimeError(f"Searcher unable to find checkpoint in {checkpoint_dir}.")
        self.restore(found[-1])

    def learn_missing(self, trials: list[Trial]) -> None:
        """Learn of trials that have ended since the state that was restored had been saved.

        Args:
            trials: Those that this searcher may not know of.
        """
        if not isinstance(self.metric, str) or type(self).add_evaluated_point is Searcher.add_evaluated_point:
            return
        for trial in trials:
            value = look_up(trial.last_result, self.metric)
            if trial.status == "TERMINATED" and value is not None:
                self.add_evaluated_point(copy.deepcopy(trial.evaluated_params), value)
