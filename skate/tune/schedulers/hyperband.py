"""HyperBand: trials run in brackets, in which the worse ones are stopped again and again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from skate.tune.error import ArgumentError
from skate.tune.schedulers.comparing import ComparingScheduler
from skate.tune.schedulers.trial_scheduler import TrialScheduler

if TYPE_CHECKING:
    from skate.tune.execution.tune_controller import TuneController
    from skate.tune.experiment.trial import Trial

__all__ = [
    "Bracket",
    "HyperBandScheduler",
]

_EPSILON = 1e-9


class HyperBandScheduler(ComparingScheduler):
    """HyperBand (Li et al., 2016).

    Trials fill one bracket after the other. All trials of a bracket run to its next milestone and are paused there; when
    the last has come, the best 1/`reduction_factor` go on to the next milestone and the others are stopped. A band is a
    set of brackets, from one with many trials and an early milestone to one with few trials that run to the end.

    Args:
        time_attr: What counts as a trial's time: a result that grows.
        metric: The metric.
        mode: "min" or "max".
        max_t: The time at which a trial is stopped in any case.
        reduction_factor: One in how many goes on.
        stop_last_trials: Whether trials are stopped at `max_t`.

    Raises:
        ValueError: a number makes no sense.
    """

    _supports_buffered_results = False

    def __init__(
        self,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
        max_t: int = 81,
        reduction_factor: float = 3,
        stop_last_trials: bool = True,
    ) -> None:
        if not max_t > 0:
            raise ArgumentError(f"Max (time_attr) not valid: max_t must be above 0, not {max_t!r}.")
        if not reduction_factor > 1:
            raise ArgumentError(f"reduction_factor must be above 1, not {reduction_factor!r}.")
        super().__init__(time_attr, metric, mode)
        self._eta = reduction_factor
        self._s_max_1 = round(math.log(max_t) / math.log(reduction_factor)) + 1
        self._max_t = max_t
        self._stop_last_trials = stop_last_trials
        self._bands: list[list[Bracket]] = [[]]
        self._bracket_of: dict[str, Bracket] = {}
        self._num_stopped = 0

    # -- filling brackets --------------------------------

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Put the trial into the bracket that is being filled."""
        self.need_metric()
        bracket = self._bracket_to_fill()
        bracket.add(trial)
        self._bracket_of[trial.trial_id] = bracket

    def _bracket_to_fill(self) -> Bracket:
        band = self._bands[-1]
        if band and not band[-1].is_filled():
            return band[-1]
        if len(band) == self._s_max_1:
            band = []
            self._bands.append(band)
        band.append(self._make_bracket(self._s_max_1 - len(band) - 1))
        return band[-1]

    def _make_bracket(self, s: int) -> Bracket:
        number = math.ceil(self._s_max_1 / (s + 1) * self._eta**s)
        first = max(1, int(self._max_t * self._eta**-s))
        return Bracket(number, first, self._max_t, self._eta, self._stop_last_trials)

    # -- results -----------------------------------------

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Let the trial run to the bracket's milestone, and wait there for the others."""
        if self._time_attr not in result or self._metric not in result:
            return TrialScheduler.CONTINUE
        bracket = self._bracket_of[trial.trial_id]
        bracket.note(trial, result[self._time_attr], self.score(result))
        if bracket.may_go_on(trial):
            return TrialScheduler.CONTINUE
        return self._at_milestone(tune_controller, bracket, trial)

    def _at_milestone(self, tune_controller: TuneController, bracket: Bracket, trial: Trial | None) -> str:
        """Halve the bracket if all have come; say what the trial does that has just come."""
        action = TrialScheduler.PAUSE
        while bracket.trials and bracket.all_have_come():
            if bracket.is_at_end():
                if not self._stop_last_trials:
                    return TrialScheduler.CONTINUE
                good: list[Trial] = []
                bad = list(bracket.trials)
            else:
                good, bad = bracket.halve()
            for each in bad:
                bracket.remove(each)
                self._num_stopped += 1
                if each is trial:
                    action = TrialScheduler.STOP
                elif each.status in ("PAUSED", "PENDING"):
                    tune_controller.stop_trial(each)
            for each in good:
                if bracket.may_go_on(each):
                    if each is trial:
                        action = TrialScheduler.CONTINUE
                    else:
                        self.go_on(tune_controller, bracket, each)
        return action

    def go_on(self, tune_controller: TuneController, bracket: Bracket, trial: Trial) -> None:
        """Let a paused trial run again."""
        bracket.promoted.add(trial.trial_id)

    def on_trial_remove(self, tune_controller: TuneController, trial: Trial) -> None:
        """Go on without the trial."""
        bracket = self._bracket_of.pop(trial.trial_id, None)
        if bracket is not None and bracket.remove(trial):
            self._at_milestone(tune_controller, bracket, None)

    def on_trial_complete(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> None:
        """Go on without the trial."""
        self.on_trial_remove(tune_controller, trial)

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        """Go on without the trial."""
        self.on_trial_remove(tune_controller, trial)

    # -- what runs next ----------------------------------

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """A trial of the bracket that has come farthest, among those that have not reached its milestone."""
        for band in self._bands:
            for bracket in sorted(band, key=lambda each: -each.share_done()):
                for trial in bracket.trials:
                    ready = trial.status == "PENDING" or (
                        trial.status == "PAUSED" and trial.trial_id in bracket.promoted
                    )
                    if ready and tune_controller.has_resources_for_trial(trial):
                        bracket.promoted.discard(trial.trial_id)
                        return trial
        return None

    def debug_string(self) -> str:
        """The brackets and how far they have come."""
        lines = [
            f"Using HyperBand: num_stopped={self._num_stopped} total_brackets={sum(len(band) for band in self._bands)}"
        ]
        for number, band in enumerate(self._bands):
            lines.append(f"Round #{number}:")
            lines += [f"  {bracket}" for bracket in band]
        return "\n".join(lines)

    def state(self) -> dict[str, int]:
        """How many bands and brackets there are, and how many trials have been stopped."""
        return {
            "num_bands": len(self._bands),
            "num_brackets": sum(len(band) for band in self._bands),
            "num_stopped": self._num_stopped,
        }


class Bracket:
    """Trials that are halved together.

    Args:
        size: How many trials it takes.
        first: The first milestone.
        max_t: The end.
        eta: One in how many goes on.
        stop_last_trials: Whether trials are stopped at the end.
    """

    def __init__(self, size: int, first: float, max_t: int, eta: float, stop_last_trials: bool) -> None:
        self.size = size
        self.milestone = first
        self.promoted: set[str] = set()
        self._max_t = max_t
        self._eta = eta
        self._n = size
        self._r = first
        self._added = 0
        self._halvings = 0
        self._stop_last_trials = stop_last_trials
        self._live: dict[str, Trial] = {}
        self._time: dict[str, float] = {}
        self._score: dict[str, float] = {}
        self._total = first * size

    @property
    def trials(self) -> list[Trial]:
        """Those that have not been stopped."""
        return list(self._live.values())

    def add(self, trial: Trial) -> None:
        """Take a trial."""
        self._live[trial.trial_id] = trial
        self._time[trial.trial_id] = 0.0
        self._added += 1

    def remove(self, trial: Trial) -> bool:
        """Let go of a trial; says whether it was there."""
        self.promoted.discard(trial.trial_id)
        return self._live.pop(trial.trial_id, None) is not None

    def is_filled(self) -> bool:
        """Whether it takes no more. Once halved, it takes none either."""
        return self._added >= self.size or self._halvings > 0

    def note(self, trial: Trial, time: float, score: float) -> None:
        """Take note of how far a trial has come, and how good it is."""
        self._time[trial.trial_id] = time
        self._score[trial.trial_id] = float("-inf") if math.isnan(score) else score

    def may_go_on(self, trial: Trial) -> bool:
        """Whether a trial has not reached the milestone."""
        if not self._stop_last_trials and self.milestone >= self._max_t:
            return True
        return self._time[trial.trial_id] < self.milestone - _EPSILON

    def all_have_come(self) -> bool:
        """Whether all trials have reached the milestone."""
        return all(self._time[name] >= self.milestone - _EPSILON for name in self._live)

    def is_at_end(self) -> bool:
        """Whether the milestone is the end."""
        return self.milestone >= self._max_t - _EPSILON

    def halve(self) -> tuple[list[Trial], list[Trial]]:
        """Set the next milestone, and say who goes on and who does not."""
        self._halvings += 1
        self._n = max(1, math.ceil(self._n / self._eta))
        self._r = min(math.ceil(self._r * self._eta), self._max_t)
        self.milestone = self._r
        ordered = sorted(self._live.values(), key=lambda trial: self._score[trial.trial_id], reverse=True)
        return ordered[: self._n], ordered[self._n :]

    def share_done(self) -> float:
        """How far it has come, from 0 to 1."""
        if not self._live:
            return 1.0
        return min(1.0, sum(self._time[name] for name in self._live) / (len(self._live) * self._max_t))

    def __repr__(self) -> str:
        return (
            f"Bracket(size={self.size}, trials={len(self._live)}, milestone={self.milestone:g}, "
            f"completed={self.share_done():.1%})"
        )
