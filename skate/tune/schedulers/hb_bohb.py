"""HyperBand as BOHB needs it: it tells the searcher which trials wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.tune.schedulers.hyperband import Bracket, HyperBandScheduler
from skate.tune.schedulers.trial_scheduler import TrialScheduler

if TYPE_CHECKING:
    from skate.tune.execution.tune_controller import TuneController
    from skate.tune.experiment.trial import Trial

__all__ = [
    "HyperBandForBOHB",
]


class HyperBandForBOHB(HyperBandScheduler):
    """HyperBand, for use with `TuneBOHB`.

    Args:
        time_attr: What counts as a trial's time.
        metric: The metric.
        mode: "min" or "max".
        max_t: The time at which a trial is stopped in any case.
        reduction_factor: One in how many goes on.
        stop_last_trials: Whether trials are stopped at `max_t`.
    """

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """As HyperBand does; a result says which bracket's budget it belongs to."""
        bracket = self._bracket_of[trial.trial_id]
        result["hyperband_info"] = {"budget": bracket.milestone}
        action = super().on_trial_result(tune_controller, trial, result)
        searcher = _searcher(tune_controller)
        if action == TrialScheduler.PAUSE and searcher is not None:
            searcher.on_pause(trial.trial_id)
        return action

    def go_on(self, tune_controller: TuneController, bracket: Bracket, trial: Trial) -> None:
        """Let a paused trial run again, and tell the searcher."""
        super().go_on(tune_controller, bracket, trial)
        searcher = _searcher(tune_controller)
        if searcher is not None:
            searcher.on_unpause(trial.trial_id)

    def choose_trial_to_run(
        self, tune_controller: TuneController, allow_recurse: bool = True
    ) -> Trial | None:
        """As HyperBand does. A bracket that the searcher does not fill is halved as it is."""
        chosen = super().choose_trial_to_run(tune_controller)
        if chosen is not None or not allow_recurse:
            return chosen
        for band in self._bands:
            for bracket in band:
                waits = bracket.trials and all(trial.status == "PAUSED" for trial in bracket.trials)
                if waits and not bracket.promoted:
                    self._at_milestone(tune_controller, bracket, None)
        return super().choose_trial_to_run(tune_controller)


def _searcher(tune_controller: TuneController) -> Any:
    return getattr(tune_controller.search_alg, "searcher", None)
