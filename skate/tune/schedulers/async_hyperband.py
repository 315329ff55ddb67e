"""ASHA: trials are stopped at milestones unless they are among the best that have come there, without waiting for others."""

from __future__ import annotations

import logging
import math
import random
from typing import TYPE_CHECKING, Any

from skate.tune.error import ArgumentError
from skate.tune.schedulers.comparing import ComparingScheduler, percentile
from skate.tune.schedulers.trial_scheduler import TrialScheduler

if TYPE_CHECKING:
    from skate.tune.execution.tune_controller import TuneController
    from skate.tune.experiment.trial import Trial

__all__ = [
    "ASHAScheduler",
    "AsyncHyperBandScheduler",
    "Bracket",
]

_logger = logging.getLogger(__name__)


class AsyncHyperBandScheduler(ComparingScheduler):
    """Asynchronous successive halving (Li et al., 2018).

    A trial that comes to a milestone goes on if it is among the best 1/`reduction_factor` of those that have come there.

    Args:
        time_attr: What counts as a trial's time: a result that grows.
        metric: The metric.
        mode: "min" or "max".
        max_t: The time at which a trial is stopped in any case.
        grace_period: The time before which none is stopped.
        reduction_factor: One in how many goes on.
        brackets: How many brackets there are; each later one has its first milestone later.
        stop_last_trials: Whether trials are stopped at `max_t`.

    Raises:
        ValueError: a number makes no sense.

    Example:
        >>> scheduler = AsyncHyperBandScheduler(metric="loss", mode="min", max_t=27, reduction_factor=3)
    """

    def __init__(
        self,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
        max_t: int = 100,
        grace_period: int = 1,
        reduction_factor: float = 4,
        brackets: int = 1,
        stop_last_trials: bool = True,
    ) -> None:
        _require(max_t > 0, f"Max (time_attr) not valid: max_t must be above 0, not {max_t!r}.")
        _require(grace_period > 0, f"grace_period must be positive, not {grace_period!r}.")
        _require(max_t >= grace_period, f"grace_period ({grace_period}) must be <= max_t ({max_t}).")
        _require(
            reduction_factor > 1, f"Reduction Factor not valid: it must be above 1, not {reduction_factor!r}."
        )
        _require(brackets > 0, f"brackets must be positive, not {brackets!r}.")
        super().__init__(time_attr, metric, mode)
        self._reduction_factor = reduction_factor
        self._max_t = max_t
        self._brackets = [
            Bracket(grace_period, max_t, reduction_factor, start, stop_last_trials)
            for start in range(brackets)
        ]
        self._bracket_of: dict[str, Bracket] = {}
        self._num_stopped = 0
        self._stop_last_trials = stop_last_trials
        self._random = random.Random(0)

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Put the trial into a bracket: the more trials a bracket can stop early, the more come into it."""
        self.need_metric()
        sizes = [len(bracket.milestones) for bracket in self._brackets]
        top = max(sizes)
        weights = [math.exp(size - top) for size in sizes]
        self._bracket_of[trial.trial_id] = self._random.choices(self._brackets, weights)[0]

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Stop the trial at a milestone if it is not good enough."""
        if self._time_attr not in result or self._metric not in result:
            return TrialScheduler.CONTINUE
        if result[self._time_attr] >= self._max_t and self._stop_last_trials:
            action = TrialScheduler.STOP
        else:
            bracket = self._bracket_of[trial.trial_id]
            action = bracket.on_result(trial.trial_id, result[self._time_attr], self.score(result))
        if action == TrialScheduler.STOP:
            self._num_stopped += 1
        return action

    def on_trial_complete(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> None:
        """Let the trial's last result count for others."""
        if self._time_attr not in result or self._metric not in result:
            return
        bracket = self._bracket_of.pop(trial.trial_id, None)
        if bracket is not None:
            bracket.on_result(trial.trial_id, result[self._time_attr], self.score(result))

    def on_trial_remove(self, tune_controller: TuneController, trial: Trial) -> None:
        """Forget the trial."""
        self._bracket_of.pop(trial.trial_id, None)

    def debug_string(self) -> str:
        """The milestones, and what a trial must reach at each."""
        lines = [f"Using AsyncHyperBand: num_stopped={self._num_stopped}"]
        lines += [bracket.debug_str() for bracket in self._brackets]
        return "\n".join(lines)


ASHAScheduler = AsyncHyperBandScheduler


class Bracket:
    """Milestones, and what trials had reached there.

    Args:
        min_t: The first milestone.
        max_t: The end.
        reduction_factor: One in how many goes on; also by how much one milestone is later than the one before.
        start: How many of the milestones are left out at the beginning.
        stop_last_trials: Whether trials are stopped at the end.

    Example:
        >>> bracket = Bracket(min_t=1, max_t=10, reduction_factor=2, start=0)
        >>> bracket.on_result("a", 1, 2.0), bracket.on_result("b", 1, 4.0), bracket.on_result("c", 1, 1.0)
        ('CONTINUE', 'CONTINUE', 'STOP')
    """

    def __init__(
        self, min_t: int, max_t: int, reduction_factor: float, start: int, stop_last_trials: bool = True
    ) -> None:
        self.reduction_factor = reduction_factor
        self.stop_last_trials = stop_last_trials
        number = int(math.log(max_t / min_t) / math.log(reduction_factor) - start + 1)
        self._rungs: list[tuple[float, dict[str, float]]] = [
            (min_t * reduction_factor ** (k + start), {}) for k in reversed(range(max(0, number)))
        ]

    @property
    def milestones(self) -> list[float]:
        """The milestones, the last first."""
        return [milestone for milestone, _ in self._rungs]

    def cutoff(self, recorded: dict[str, float]) -> float | None:
        """What a trial must reach to go on; None if it is the first to come."""
        values = [value for value in recorded.values() if not math.isnan(value)]
        return percentile(values, (1 - 1 / self.reduction_factor) * 100) if values else None

    def on_result(self, trial_id: str, time: float, value: float) -> str:
        """Decide whether a trial goes on.

        Args:
            trial_id: The trial.
            time: How far it has come.
            value: How good it is: more is better.

        Returns:
            CONTINUE or STOP.
        """
        action = TrialScheduler.CONTINUE
        for milestone, recorded in self._rungs:
            if time >= milestone and trial_id in recorded and not self.stop_last_trials:
                # The last milestone is behind it, and it may run on.
                break
            if time < milestone or trial_id in recorded:
                continue
            cutoff = self.cutoff(recorded)
            if cutoff is not None and not value >= cutoff:  # NaN is worse than anything
                action = TrialScheduler.STOP
            if value is None:
                _logger.warning("Reward attribute is None! Consider reporting using a different field.")
            else:
                recorded[trial_id] = value
            break
        return action

    def debug_str(self) -> str:
        """The milestones, and what a trial must reach at each."""
        return "Bracket: " + " | ".join(
            f"Iter {at:.3f}: {self.cutoff(recorded)}" for at, recorded in self._rungs
        )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ArgumentError(message)
