"""Optuna's pruners as a scheduler: what they would prune is stopped."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from skate.tune.schedulers.comparing import ComparingScheduler
from skate.tune.schedulers.trial_scheduler import TrialScheduler
from skate.tune.search.spaces import load as _load

if TYPE_CHECKING:
    import optuna

    from skate.tune.execution.tune_controller import TuneController
    from skate.tune.experiment.trial import Trial

__all__ = [
    "OptunaPruning",
]


class OptunaPruning(ComparingScheduler):
    """Stops trials that one of Optuna's pruners would prune.

    With `OptunaSearch` both work on one study, so the sampler knows which trials were pruned. With any other search algorithm,
    the pruner has a study of its own.

    Args:
        pruner: The pruner; default: `optuna.pruners.MedianPruner()`.
        time_attr: What counts as a trial's time: a result that grows.
        metric: The metric; default: that of the search.
        mode: "min" or "max"; default: that of the search.

    Raises:
        ImportError: Optuna is not installed.
        ValueError: `pruner` is none, or there is no metric.

    Example:
        >>> import optuna
        >>> from skate import tune
        >>> config = tune.TuneConfig(metric="loss", mode="min", scheduler=OptunaPruning(optuna.pruners.HyperbandPruner()))
    """

    def __init__(
        self,
        pruner: optuna.pruners.BasePruner | None = None,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
    ) -> None:
        library = _load("optuna", '"skate[tune]"')
        if pruner is not None and not isinstance(pruner, library.pruners.BasePruner):
            raise ValueError(f"pruner={pruner!r} is no pruner of Optuna's: pass one of optuna.pruners.")
        super().__init__(time_attr, metric, mode)
        self._pruner = pruner or library.pruners.MedianPruner()
        self._study: Any = None
        self._own: dict[str, Any] = {}
        self._num_stopped = 0

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Begin a trial in the pruner's study, if it has one of its own."""
        self.need_metric()
        searcher = _optuna_searcher(tune_controller)
        if searcher is not None:
            searcher.use_pruner(self._pruner)
            return
        if self._study is None:
            library = _load("optuna", '"skate[tune]"')
            before = library.logging.get_verbosity()
            library.logging.set_verbosity(library.logging.WARNING)  # it would announce the study
            try:
                self._study = library.create_study(
                    direction="minimize" if self._mode == "min" else "maximize", pruner=self._pruner
                )
            finally:
                library.logging.set_verbosity(before)
        if trial.trial_id not in self._own:
            self._own[trial.trial_id] = self._study.ask()

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Ask the pruner."""
        if self._time_attr not in result or self._metric not in result:
            return TrialScheduler.CONTINUE
        value, step = float(result[self._metric]), int(result[self._time_attr])
        searcher = _optuna_searcher(tune_controller)
        if searcher is not None:
            pruned = searcher.prunes(trial.trial_id, value, step)
        else:
            own = self._own[trial.trial_id]
            own.report(value, step)
            pruned = own.should_prune()
            if pruned:
                self._tell(trial, "PRUNED")
        if not pruned:
            return TrialScheduler.CONTINUE
        self._num_stopped += 1
        return TrialScheduler.STOP

    def on_trial_complete(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> None:
        """Let the trial's last result count for others."""
        value = result.get(self._metric or "")
        usable = value is not None and not math.isnan(float(value))  # Optuna takes no NaN
        self._tell(trial, "COMPLETE" if usable else "FAIL", value if usable else None)

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Leave the trial out of account."""
        self._tell(trial, "FAIL")

    def on_trial_remove(self, tune_controller: TuneController, trial: Trial) -> None:
        """Leave the trial out of account."""
        self._tell(trial, "FAIL")

    def _tell(self, trial: Trial, state: str, value: float | None = None) -> None:
        own = self._own.pop(trial.trial_id, None)
        if own is not None:
            states = _load("optuna.trial", '"skate[tune]"').TrialState
            self._study.tell(own, value, state=states[state])

    def debug_string(self) -> str:
        """How many trials the pruner stopped."""
        return f"{type(self._pruner).__name__}: num_stopped={self._num_stopped}"


def _optuna_searcher(tune_controller: TuneController) -> Any:
    """The `OptunaSearch` of a search, or None."""
    from skate.tune.search.optuna import OptunaSearch

    searcher = getattr(tune_controller.search_alg, "searcher", None)
    while searcher is not None and not isinstance(searcher, OptunaSearch):
        searcher = getattr(searcher, "searcher", None)
    return searcher
