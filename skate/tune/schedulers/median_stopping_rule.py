"""Stops trials that are worse than the median of the others at the same time."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from skate.tune.schedulers.comparing import ComparingScheduler, median
from skate.tune.schedulers.trial_scheduler import TrialScheduler

if TYPE_CHECKING:
    from skate.tune.execution.tune_controller import TuneController
    from skate.tune.experiment.trial import Trial

__all__ = [
    "MedianStoppingRule",
]


class MedianStoppingRule(ComparingScheduler):
    """The median stopping rule (Golovin et al., 2017).

    A trial is stopped if its best result up to a time is worse than the median of the other trials' means up to that time.

    Args:
        time_attr: What counts as a trial's time: a result that grows.
        metric: The metric.
        mode: "min" or "max".
        grace_period: The time before which none is stopped.
        min_samples_required: How many other trials there must be to compare with.
        min_time_slice: How long a trial runs before it makes room for others to be compared with.
        hard_stop: Whether a trial that is worse is stopped; if not, it is paused until there is room for it, and then runs to
            its end.
    """

    def __init__(
        self,
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        grace_period: float = 60.0,
        min_samples_required: int = 3,
        min_time_slice: int = 0,
        hard_stop: bool = True,
    ) -> None:
        super().__init__(time_attr, metric, mode)
        self._grace_period = grace_period
        self._min_samples_required = min_samples_required
        self._min_time_slice = min_time_slice
        self._hard_stop = hard_stop
        self._stopped: set[str] = set()
        self._last_pause: dict[str, float] = defaultdict(lambda: float("-inf"))
        self._results: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Check that there is a metric."""
        self.need_metric()

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Compare the trial with the others."""
        if self._time_attr not in result or self._metric not in result:
            return TrialScheduler.CONTINUE
        if (
            trial.trial_id in self._stopped
        ):  # it was paused for being worse, and there was room for it after all
            return TrialScheduler.CONTINUE
        time = result[self._time_attr]
        self._results[trial.trial_id].append((time, self.score(result)))
        if time < self._grace_period:
            return TrialScheduler.CONTINUE
        means = [
            mean
            for name, results in self._results.items()
            if name != trial.trial_id
            and results[-1][0] >= time
            and math.isfinite(mean := self._mean_until(name, time))
        ]
        if len(means) < self._min_samples_required:
            return self._without_comparison(tune_controller, trial, time)
        middle = median(means)
        best = max(value for _, value in self._results[trial.trial_id])
        if best >= middle:
            return TrialScheduler.CONTINUE
        self._stopped.add(trial.trial_id)
        return TrialScheduler.STOP if self._hard_stop else TrialScheduler.PAUSE

    def _without_comparison(self, tune_controller: TuneController, trial: Trial, time: float) -> str:
        """Let others come as far, if any wait."""
        waiting = any(other.status in ("PENDING", "PAUSED") for other in tune_controller.get_live_trials())
        if not waiting or time - self._last_pause[trial.trial_id] <= self._min_time_slice:
            return TrialScheduler.CONTINUE
        self._last_pause[trial.trial_id] = time
        return TrialScheduler.PAUSE

    def _mean_until(self, name: str, time: float) -> float:
        """The mean of a trial's results from the end of the grace period up to a time; NaN if there are none."""
        values = [value for at, value in self._results[name] if self._grace_period <= at <= time]
        return sum(values) / len(values) if values else math.nan

    def on_trial_complete(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> None:
        """Let the trial's last result count for others."""
        if self._time_attr in result and self._metric in result:
            self._results[trial.trial_id].append((result[self._time_attr], self.score(result)))

    def debug_string(self) -> str:
        """How many have been stopped."""
        return f"Using MedianStoppingRule: num_stopped={len(self._stopped)}."

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last_pause": dict(self._last_pause), "_results": dict(self._results)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._last_pause = defaultdict(lambda: float("-inf"), state["_last_pause"])
        self._results = defaultdict(list, state["_results"])
