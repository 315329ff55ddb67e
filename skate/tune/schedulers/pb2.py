"""PB2: population-based training whose changes come from a model of what makes trials better."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skate.tune.error import TuneError
from skate.tune.schedulers import pb2_model as _model
from skate.tune.schedulers.pbt import PopulationBasedTraining

if TYPE_CHECKING:
    from skate.tune.execution.tune_controller import TuneController
    from skate.tune.experiment.trial import Trial

__all__ = [
    "PB2",
]

_MOST_OBSERVATIONS = 500
_FEWEST_OBSERVATIONS = 4


class PB2(PopulationBasedTraining):
    """Population-based bandits (Parker-Holder et al., 2020).

    As `PopulationBasedTraining`, but new parameters are those that a Gaussian process expects to make trials better.

    Args:
        time_attr: What counts as a trial's time: a result that grows.
        metric: The metric.
        mode: "min" or "max".
        perturbation_interval: The time between two changes.
        hyperparam_bounds: For each parameter that changes the least and the greatest value; or a dictionary of these.
        quantile_fraction: The share of the trials that are bad, and that are good.
        log_config: Whether changes are written to files in the experiment's directory.
        require_attrs: Whether a result without the time or the metric is an error.
        synch: Whether all trials wait for one another at each interval.
        custom_explore_fn: Called with the new parameters; returns them changed.

    Raises:
        TuneError: there are no bounds.
        ValueError: bounds make no sense.
    """

    def __init__(
        self,
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        perturbation_interval: float = 60.0,
        hyperparam_bounds: dict[str, dict[str, Any] | list[float] | tuple[float, float]] | None = None,
        quantile_fraction: float = 0.25,
        log_config: bool = True,
        require_attrs: bool = True,
        synch: bool = False,
        custom_explore_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        if not hyperparam_bounds:
            raise TuneError("`hyperparam_bounds` must be specified to use PB2 scheduler.")
        self._bounds = dict(_flat_bounds(hyperparam_bounds))
        super().__init__(
            time_attr=time_attr,
            metric=metric,
            mode=mode,
            perturbation_interval=perturbation_interval,
            hyperparam_mutations=_as_mutations(hyperparam_bounds),
            quantile_fraction=quantile_fraction,
            resample_probability=0,
            custom_explore_fn=custom_explore_fn,
            log_config=log_config,
            require_attrs=require_attrs,
            synch=synch,
        )
        self._seen: list[tuple[float, list[float], float]] = []
        self._before: dict[str, tuple[float, float]] = {}
        self._running: dict[str, list[float]] = {}

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Take note of how much better the trial became, then decide as population-based training does."""
        if self._time_attr in result and self._metric in result:
            time, score = result[self._time_attr], self.score(result)
            point = self._point(trial.config)
            before = self._before.get(trial.trial_id)
            if before is not None and time > before[0]:
                self._seen.append((time, point, (score - before[1]) / (time - before[0])))
                del self._seen[:-_MOST_OBSERVATIONS]
            self._before[trial.trial_id] = (time, score)
            self._running[trial.trial_id] = point
        return super().on_trial_result(tune_controller, trial, result)

    def _exploit(self, tune_controller: TuneController, trial: Trial, source: Trial) -> None:
        super()._exploit(tune_controller, trial, source)
        # The copy goes on from the other's score: the step there is not its own doing.
        self._before.pop(trial.trial_id, None)

    def _get_new_config(self, trial: Trial, trial_to_clone: Trial) -> tuple[dict[str, Any], dict[str, Any]]:
        config: dict[str, Any] = copy.deepcopy(trial_to_clone.config)
        if len(self._seen) < _FEWEST_OBSERVATIONS:
            chosen = [random.random() for _ in self._bounds]
        else:
            latest = max(time for time, _, _ in self._seen)
            earliest = min(time for time, _, _ in self._seen)
            span = (latest - earliest) or 1.0
            seen = _model.Observations(
                times=[(time - earliest) / span for time, _, _ in self._seen],
                points=[point for _, point, _ in self._seen],
                gains=[gain for _, _, gain in self._seen],
            )
            running = [point for name, point in self._running.items() if name != trial.trial_id]
            chosen = [float(value) for value in _model.suggest(seen, running, seed=random.getrandbits(32))]
        how: dict[str, Any] = {}
        for (path, (low, high)), share in zip(self._bounds.items(), chosen, strict=True):
            old = _get(config, path)
            value = low + share * (high - low)
            _set(config, path, round(value) if isinstance(old, int) and not isinstance(old, bool) else value)
            how["/".join(path)] = "model"
        self._running[trial.trial_id] = chosen
        if self._custom_explore_fn is not None:
            changed = self._custom_explore_fn(config)
            if changed is None:
                raise ValueError(
                    "Custom explore fn failed to return new config: it must return the changed parameters."
                )
            config = changed
        return config, how

    def _point(self, config: Mapping[str, Any]) -> list[float]:
        """The parameters, each from 0 to 1."""
        return [
            min(1.0, max(0.0, (float(_get(config, path)) - low) / (high - low)))
            for path, (low, high) in self._bounds.items()
        ]


def _flat_bounds(
    bounds: Mapping[str, Any], path: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], tuple[float, float]]]:
    flat: list[tuple[tuple[str, ...], tuple[float, float]]] = []
    for name, value in bounds.items():
        here = (*path, name)
        if isinstance(value, Mapping):
            flat += _flat_bounds(value, here)
        elif isinstance(value, Sequence) and len(value) == 2 and value[0] < value[1]:
            flat.append((here, (float(value[0]), float(value[1]))))
        else:
            raise ValueError(
                f"`hyperparam_bounds` values must either be a list or tuple of size 2, the least and the greatest value, or a "
                f"dict of these. Got {value!r} for {'/'.join(here)!r}."
            )
    return flat


def _as_mutations(bounds: Mapping[str, Any]) -> dict[str, Any]:
    """How parameters are drawn that a trial begins without."""
    return {
        name: _as_mutations(value) if isinstance(value, Mapping) else _Between(value[0], value[1])
        for name, value in bounds.items()
    }


class _Between:
    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def __call__(self) -> float:
        return random.uniform(self.low, self.high)


def _get(config: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        config = config[name]
    return config


def _set(config: Any, path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        config = config[name]
    config[path[-1]] = value
