"""Population-based training: bad trials go on as copies of good ones, with their parameters changed a little."""

from __future__ import annotations

import json
import logging
import math
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skate.tune import result as _keys
from skate.tune.error import TuneError
from skate.tune.logger.logger import JsonEncoder
from skate.tune.schedulers.comparing import ComparingScheduler
from skate.tune.schedulers.pbt_explore import Mutations, explore, fill_in, format_changes
from skate.tune.schedulers.pbt_replay import PopulationBasedTrainingReplay
from skate.tune.schedulers.trial_scheduler import TrialScheduler
from skate.tune.search.search_generator import SearchGenerator

if TYPE_CHECKING:
    from skate.air.checkpoint_manager import TrainingResult
    from skate.tune.execution.tune_controller import TuneController
    from skate.tune.experiment.trial import Trial

__all__ = [
    "PopulationBasedTraining",
    "PopulationBasedTrainingReplay",
    "TrialState",
]

_logger = logging.getLogger(__name__)


@dataclass
class TrialState:
    """What is known about a trial of the population."""

    orig_tag: str
    last_score: float | None = None
    last_checkpoint: TrainingResult | None = None
    last_perturbation_time: float = 0.0
    last_train_time: float = 0.0
    last_result: dict[str, Any] | None = None


class PopulationBasedTraining(ComparingScheduler):
    """Population-based training (Jaderberg et al., 2017).

    At each interval a trial of the worst quantile takes the checkpoint of one of the best, and its parameters, changed a
    little. Trials must be able to save and load: a function reports checkpoints at least as often as the interval.

    Args:
        time_attr: What counts as a trial's time: a result that grows.
        metric: The metric.
        mode: "min" or "max".
        perturbation_interval: The time between two changes.
        burn_in_period: The time before the first change.
        hyperparam_mutations: The parameters that change: for each a list of values, a domain, or a function that draws
            one; or a dictionary of these.
        quantile_fraction: The share of the trials that are bad, and that are good; from 0 to 0.5.
        resample_probability: How likely a parameter is drawn anew rather than changed a little.
        perturbation_factors: By what a number is multiplied, one of two.
        custom_explore_fn: Called with the new parameters; returns them changed.
        log_config: Whether changes are written to files in the experiment's directory, which
            `PopulationBasedTrainingReplay` reads.
        require_attrs: Whether a result without the time or the metric is an error.
        synch: Whether all trials wait for one another at each interval.

    Raises:
        TuneError: there is nothing to change.
        ValueError, TypeError: an argument makes no sense.
    """

    _supports_buffered_results = False
    changes_parameters = True

    def __init__(
        self,
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        perturbation_interval: float = 60.0,
        burn_in_period: float = 0.0,
        hyperparam_mutations: Mutations | None = None,
        quantile_fraction: float = 0.25,
        resample_probability: float = 0.25,
        perturbation_factors: tuple[float, float] = (1.2, 0.8),
        custom_explore_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        log_config: bool = True,
        require_attrs: bool = True,
        synch: bool = False,
    ) -> None:
        mutations = hyperparam_mutations or {}
        _check_mutations(mutations)
        if not mutations and not custom_explore_fn:
            raise TuneError(
                "You must specify at least one of `hyperparam_mutations` or `custom_explore_fn` to use PBT."
            )
        if not 0 <= quantile_fraction <= 0.5:
            raise ValueError(
                f"You must set `quantile_fraction` to a value between 0 and 0.5. Current value: '{quantile_fraction}'"
            )
        if perturbation_interval <= 0:
            raise ValueError(
                f"perturbation_interval must be a positive number greater than 0. Current value: '{perturbation_interval}'"
            )
        super().__init__(time_attr, metric, mode)
        self._hyperparam_mutations = mutations
        self._perturbation_interval = perturbation_interval
        self._burn_in_period = burn_in_period
        self._quantile_fraction = quantile_fraction
        self._resample_probability = resample_probability
        self._perturbation_factors = perturbation_factors
        self._custom_explore_fn = custom_explore_fn
        self._log_config = log_config
        self._require_attrs = require_attrs
        self._synch = synch
        self._next_perturbation_sync = max(perturbation_interval, burn_in_period)
        self._state: dict[Trial, TrialState] = {}
        self._num_checkpoints = 0
        self._num_perturbations = 0

    # -- trials come and go ------------------------------

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Take the trial into the population; parameters that its configuration lacks are drawn."""
        if isinstance(tune_controller.search_alg, SearchGenerator):
            raise ValueError(
                f"Search algorithms cannot be used with {type(self).__name__} schedulers. Please remove "
                f"{type(tune_controller.search_alg.searcher).__name__} from the search."
            )
        self.need_metric()
        drawn = fill_in(trial.config, self._hyperparam_mutations)
        trial.evaluated_params.update(drawn)
        self._state[trial] = TrialState(trial.experiment_tag)

    def on_trial_remove(self, tune_controller: TuneController, trial: Trial) -> None:
        """Nothing to do: a trial that has ended is not compared with."""

    # -- results -----------------------------------------

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """At the end of an interval, see whether the trial is one of the best or of the worst."""
        if not self._has_attributes(result):
            return TrialScheduler.CONTINUE
        time = result[self._time_attr]
        state = self._state[trial]
        if time < self._burn_in_period or time - state.last_perturbation_time < self._perturbation_interval:
            return TrialScheduler.CONTINUE
        state.last_score = self.score(result)
        state.last_train_time = time
        state.last_result = result
        if self._synch:
            return self._perturb_together(tune_controller, trial, time)
        state.last_perturbation_time = time
        lower, upper = self._quantiles()
        others_wait = any(
            other.status in ("PENDING", "PAUSED") for other in tune_controller.get_live_trials()
        )
        self._checkpoint_or_exploit(tune_controller, trial, upper, lower)
        if trial.status == "PAUSED":
            return TrialScheduler.NOOP
        return TrialScheduler.PAUSE if others_wait else TrialScheduler.CONTINUE

    def _has_attributes(self, result: dict[str, Any]) -> bool:
        missing = [name for name in (self._time_attr, self._metric) if name not in result]
        if missing and self._require_attrs:
            raise RuntimeError(
                f"Cannot find {missing} in the result {sorted(result)}: {type(self).__name__} needs it. Report it, or pass "
                "require_attrs=False to leave such results out."
            )
        return not missing

    def _perturb_together(self, tune_controller: TuneController, trial: Trial, time: float) -> str:
        """Wait for all trials; when the last has come, change the worst."""
        live = tune_controller.get_live_trials()
        due = self._next_perturbation_sync
        if all(self._state[other].last_train_time >= due for other in live if other != trial):
            lower, upper = self._quantiles()
            rest = [
                other for other in self._state if other in live and other not in lower and other not in upper
            ]
            for other in [*upper, *rest, *lower]:
                self._state[other].last_perturbation_time = time
                self._checkpoint_or_exploit(tune_controller, other, upper, lower)
            farthest = max(state.last_train_time for state in self._state.values())
            self._next_perturbation_sync = max(due + self._perturbation_interval, farthest)
        return TrialScheduler.NOOP if trial.status == "PAUSED" else TrialScheduler.PAUSE

    def _quantiles(self) -> tuple[list[Trial], list[Trial]]:
        """The worst and the best trials."""
        scored = [
            (state.last_score, trial)
            for trial, state in self._state.items()
            if state.last_score is not None and not math.isnan(state.last_score) and not trial.is_finished()
        ]
        if len(scored) <= 1:
            return [], []
        ordered = [trial for _, trial in sorted(scored, key=lambda pair: pair[0])]
        number = min(math.ceil(len(ordered) * self._quantile_fraction), len(ordered) // 2)
        return (ordered[:number], ordered[-number:]) if number else ([], [])

    def _checkpoint_or_exploit(
        self, tune_controller: TuneController, trial: Trial, upper: list[Trial], lower: list[Trial]
    ) -> None:
        state = self._state[trial]
        if trial in upper:
            state.last_checkpoint = tune_controller.save_trial(trial)
            self._num_checkpoints += 1
            return
        state.last_checkpoint = None
        if trial not in lower:
            return
        source = random.choice(upper)
        if self._state[source].last_checkpoint is None:
            _logger.warning(
                "PBT: %s goes on as it is: %s, which it was to follow, has no checkpoint from when it was compared last; it was "
                "not among the best then, or has reported none.",
                trial,
                source,
            )
            return
        self._exploit(tune_controller, trial, source)

    # -- changes -----------------------------------------

    def _get_new_config(self, trial: Trial, trial_to_clone: Trial) -> tuple[dict[str, Any], dict[str, Any]]:
        """New parameters for a trial that goes on as a copy of another, and how each came about."""
        return explore(
            trial_to_clone.config,
            self._hyperparam_mutations,
            self._resample_probability,
            self._perturbation_factors,
            self._custom_explore_fn,
        )

    def _exploit(self, tune_controller: TuneController, trial: Trial, source: Trial) -> None:
        """Let a trial go on as a copy of another, with its parameters changed."""
        state, good = self._state[trial], self._state[source]
        config, changes = self._get_new_config(trial, source)
        _logger.info(
            "PBT: %s (score %s) goes on as a copy of %s (score %s): %s",
            trial,
            state.last_score,
            source,
            good.last_score,
            format_changes(source.config, config, self._hyperparam_mutations, changes),
        )
        if self._log_config:
            self._log_change(trial, source, config)
        tag = f"{state.orig_tag}@perturbed[{_tag(config, self._hyperparam_mutations)}]"
        if trial.status == "RUNNING":
            tune_controller.pause_trial(trial, should_checkpoint=False)
        trial.exploit(config, tag, _still_kept(source, good.last_checkpoint))
        self._num_perturbations += 1
        # Its time is now the other's, and so is the time of its last change. Its score stays the bad one until it has a
        # result of its own: until then it is no source for others.
        state.last_perturbation_time = good.last_perturbation_time
        state.last_train_time = good.last_train_time

    def _log_change(self, trial: Trial, source: Trial, config: dict[str, Any]) -> None:
        """Write the change down: for all, and for the trial, whose history is now the other's."""
        directory = trial.local_experiment_path
        if directory is None:
            return
        state, good = self._state[trial], self._state[source]
        line = json.dumps(
            [
                state.orig_tag,
                good.orig_tag,
                trial.last_result.get(_keys.TRAINING_ITERATION, 0),
                source.last_result.get(_keys.TRAINING_ITERATION, 0),
                source.config,
                config,
            ],
            cls=JsonEncoder,
        )
        mine = os.path.join(directory, f"pbt_policy_{trial.trial_id}.txt")
        others = os.path.join(directory, f"pbt_policy_{source.trial_id}.txt")
        history = ""
        if os.path.exists(others):
            with open(others, encoding="utf-8") as file:
                history = file.read()
        with open(mine, "w", encoding="utf-8") as file:
            file.write(history + line + "\n")
        with open(os.path.join(directory, "pbt_global.txt"), "a", encoding="utf-8") as file:
            file.write(line + "\n")

    # -- what runs next ----------------------------------

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """The trial that has come least far."""
        candidates = [
            trial
            for trial in tune_controller.get_startable_trials()
            if tune_controller.has_resources_for_trial(trial)
            and (not self._synch or self._state[trial].last_train_time < self._next_perturbation_sync)
        ]
        return min(candidates, key=lambda trial: self._state[trial].last_train_time, default=None)

    def last_scores(self, trials: list[Trial]) -> list[float]:
        """The newest scores of trials that have not ended."""
        scores = [
            self._state[trial].last_score
            for trial in trials
            if trial in self._state and not trial.is_finished()
        ]
        return [score for score in scores if score is not None]

    def reset_stats(self) -> None:
        """Count from zero."""
        self._num_perturbations = 0
        self._num_checkpoints = 0

    def debug_string(self) -> str:
        """How many checkpoints and changes there were."""
        return f"PopulationBasedTraining: {self._num_checkpoints} checkpoints, {self._num_perturbations} perturbs"


def _still_kept(source: Trial, saved: TrainingResult | None) -> TrainingResult | None:
    """The checkpoint, or the newest if the other trial has gone on so far that this one is no longer kept."""
    kept = source.checkpoints.best_and_newest
    return saved if any(each is saved for each in kept) else source.latest_checkpoint_result


def _check_mutations(mutations: Mapping[str, Any]) -> None:
    from skate.tune.search.sample import Domain, Function

    for name, value in mutations.items():
        if not (isinstance(value, dict | list | tuple | Domain) or callable(value)):
            raise TypeError(
                "`hyperparam_mutation` values must be either a List, Tuple, Dict, a tune search space object, or a callable. "
                f"Got {value!r} for {name!r}."
            )
        if isinstance(value, Function):
            raise ValueError(
                f"hyperparam_mutations can't have arbitrary tune.sample_from objects, as {name!r} has, for they may depend on other "
                "parameters: pass a function without arguments, or a domain such as tune.uniform."
            )
        if isinstance(value, Mapping) and "grid_search" not in value:
            _check_mutations(value)
        elif isinstance(value, Mapping):
            raise ValueError(
                f"hyperparam_mutations can't have a grid_search, as {name!r} has: name the values in a list."
            )


def _tag(config: Mapping[str, Any], mutations: Mapping[str, Any]) -> str:
    from skate.tune.search.variant_generator import format_vars

    return format_vars({("config", name): config[name] for name in mutations if name in config})
