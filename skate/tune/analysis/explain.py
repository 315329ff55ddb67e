"""Which parameters of a search mattered, and which of their values did well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skate.air.result import look_up
from skate.tune.search.spaces import load as _load
from skate.tune.utils.dictionaries import flatten_dict

if TYPE_CHECKING:
    import pandas as pd

    from skate.tune.experiment.trial import Trial
    from skate.tune.result_grid import ResultGrid

__all__ = ["Explanation", "Observed", "Parameter", "explain", "importances_of", "kind_of", "observe"]

_LOG_RATIO = 100.0
"""A parameter whose values are above zero and this far apart is looked at by orders of magnitude."""
_GOOD_SHARE = 0.2
_FEWEST = 4


@dataclass
class Observed:
    """Trials of a search as pairs of parameters and a value.

    Args:
        metric: The metric.
        mode: "min" or "max".
        names: The trials' names.
        numbers: The trials' numbers, from 1.
        parameters: For each trial its parameters by name; those that differ between trials alone.
        values: For each trial the metric.
    """

    metric: str
    mode: str
    names: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    parameters: list[dict[str, Any]] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        """The parameters' names, in the order in which they were seen."""
        return list(dict.fromkeys(name for each in self.parameters for name in each))

    def column(self, name: str) -> list[Any]:
        """The values that a parameter had, in the trials that have it."""
        return [each[name] for each in self.parameters if name in each]

    def best_first(self) -> list[int]:
        """Indices of trials, the best first."""
        return sorted(range(len(self.values)), key=lambda i: self.values[i], reverse=self.mode == "max")


def observe(grid: ResultGrid, metric: str | None = None, mode: str | None = None) -> Observed:
    """Read what a search has tried, and how well it did.

    Args:
        grid: The results.
        metric: The metric; default: that of the search.
        mode: "min" or "max"; default: that of the search.

    Raises:
        ValueError: metric or mode is neither given nor known, or no trial has reported the metric.
    """
    analysis = grid._experiment_analysis  # noqa: SLF001 - what a grid shows
    metric, mode = metric or analysis.default_metric, mode or analysis.default_mode
    if not metric or mode not in ("min", "max"):
        raise ValueError(
            f"metric={metric!r} and mode={mode!r}: name a metric and 'min' or 'max', here or in the TuneConfig of the search."
        )
    seen = Observed(metric, mode)
    for number, trial in enumerate(analysis.trials, start=1):
        value = look_up(trial.last_result, metric)
        if isinstance(value, bool) or not _is_number(value) or not math.isfinite(value):
            continue
        seen.names.append(str(trial))
        seen.numbers.append(number)
        seen.parameters.append(_chosen(trial))
        seen.values.append(float(value))
    if not seen.values:
        raise ValueError(f"no trial has reported a number for the metric {metric!r}.")
    for name in seen.columns:
        if len({repr(value) for value in seen.column(name)}) < 2:
            for each in seen.parameters:
                each.pop(name, None)
    return seen


def _chosen(trial: Trial) -> dict[str, Any]:
    """The parameters that were chosen for a trial, as they stand in its configuration."""
    flat = flatten_dict(trial.config)
    chosen = {name: flat[name] for name in trial.evaluated_params if name in flat}
    return chosen or flat


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or (
        hasattr(value, "__float__") and getattr(value, "shape", 0) == ()
    )


@dataclass
class Parameter:
    """What is known about a parameter.

    Args:
        name: Its name.
        importance: Its share of what decides about the metric, from 0 to 1; None if too few trials have it.
        kind: "number", "log" for one that is looked at by orders of magnitude, or "choice".
        good: The least and the greatest value of the best fifth of the trials; for a choice its values there, the most
            frequent first.
        tried: The same of all trials.
    """

    name: str
    importance: float | None
    kind: str
    good: Sequence[Any]
    tried: Sequence[Any]

    def __str__(self) -> str:
        share = "  ?  " if self.importance is None else f"{self.importance:5.0%}"
        if self.kind == "choice":
            good, tried = ", ".join(map(str, self.good)), ", ".join(map(str, self.tried))
        else:
            good, tried = f"{self.good[0]:g} to {self.good[1]:g}", f"{self.tried[0]:g} to {self.tried[1]:g}"
        return f"{share}  {self.name}: the best fifth have {good} (tried: {tried})"


@dataclass
class Explanation:
    """Which parameters of a search mattered. Printed, it is a line for each, the most important first.

    Args:
        metric: The metric.
        mode: "min" or "max".
        trials: How many trials it is drawn from.
        best: The best value.
        parameters: What is known about each parameter, the most important first.
    """

    metric: str
    mode: str
    trials: int
    best: float
    parameters: list[Parameter]

    @property
    def importances(self) -> dict[str, float]:
        """The share of each parameter in what decides about the metric, by name, the greatest first."""
        return {each.name: each.importance for each in self.parameters if each.importance is not None}

    def to_dataframe(self) -> pd.DataFrame:
        """The same as a table, a parameter a row."""
        import pandas as pd

        return pd.DataFrame([vars(each) for each in self.parameters])

    def __str__(self) -> str:
        head = f"{self.metric} ({self.mode}) over {self.trials} trials, the best of them {self.best:g}:"
        if not self.parameters:
            return f"{head}\n  no parameter differs between them"
        return "\n".join([head, *(f"  {each}" for each in self.parameters)])

    __repr__ = __str__


def explain(grid: ResultGrid, metric: str | None = None, mode: str | None = None) -> Explanation:
    """Say which parameters of a search mattered, and which of their values did well.

    Importances are those of PED-ANOVA (Watanabe et al., 2023): how much a parameter's values differ between the best tenth of
    the trials and all of them. They add up to 1.

    Args:
        grid: The results of the search.
        metric: The metric; default: that of the search.
        mode: "min" or "max"; default: that of the search.

    Returns:
        The explanation; printed, it is a line for each parameter.

    Raises:
        ValueError: metric or mode is not known, or no trial has reported the metric.
        ImportError: Optuna is not installed.

    Example:
        >>> import skate, tempfile
        >>> from skate import tune
        >>> with tempfile.TemporaryDirectory() as directory, skate.init(num_cpus=1):
        ...     grid = tune.Tuner(
        ...         lambda config: {"loss": config["x"] ** 2 + 0.001 * config["y"]},
        ...         param_space={"x": tune.uniform(-1, 1), "y": tune.uniform(-1, 1)},
        ...         tune_config=tune.TuneConfig(metric="loss", mode="min", num_samples=40),
        ...         run_config=tune.RunConfig(storage_path=directory, verbose=0),
        ...     ).fit()
        ...     max(tune.explain(grid).importances.items(), key=lambda item: item[1])[0]
        'x'
    """
    seen = observe(grid, metric, mode)
    order = seen.best_first()
    importances = importances_of(seen)
    good = order[: max(1, round(len(order) * _GOOD_SHARE))]
    found = [_describe(seen, name, good, importances.get(name)) for name in seen.columns]
    found.sort(key=lambda each: -1.0 if each.importance is None else each.importance, reverse=True)
    return Explanation(seen.metric, seen.mode, len(order), seen.values[order[0]], found)


def importances_of(seen: Observed) -> dict[str, float]:
    """The share of each parameter that all trials have in what decides about the metric; empty for fewer than four trials."""
    common = [name for name in seen.columns if all(name in each for each in seen.parameters)]
    if not common or len(seen.values) < _FEWEST:
        return {}
    optuna = _load("optuna", '"skate[tune]"')
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(direction="minimize" if seen.mode == "min" else "maximize")
    finally:
        optuna.logging.set_verbosity(before)
    columns = {name: _as_optuna(seen.column(name), optuna.distributions) for name in common}
    distributions = {name: distribution for name, (distribution, _) in columns.items()}
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={name: values[i] for name, (_, values) in columns.items()},
                distributions=distributions,
                value=value,
            )
            for i, value in enumerate(seen.values)
        ]
    )
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(evaluate_on_local=False)
    shares: dict[str, float] = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return shares


def _as_optuna(values: list[Any], distributions: Any) -> tuple[Any, list[Any]]:
    """A distribution that holds the values, and the values as it takes them."""
    kind = kind_of(values)
    if kind == "choice":
        shown = [repr(value) for value in values]
        return distributions.CategoricalDistribution(sorted(set(shown))), shown
    numbers = [float(value) for value in values]
    return distributions.FloatDistribution(min(numbers), max(numbers), log=kind == "log"), numbers


def kind_of(values: list[Any]) -> str:
    """Whether values are a "choice", a "number", or a "log": one whose order of magnitude says more."""
    if any(isinstance(value, bool) or not _is_number(value) for value in values):
        return "choice"
    low, high = min(values), max(values)
    return "log" if low > 0 and high / low >= _LOG_RATIO else "number"


def _describe(seen: Observed, name: str, good: list[int], importance: float | None) -> Parameter:
    tried = seen.column(name)
    best = [seen.parameters[i][name] for i in good if name in seen.parameters[i]]
    kind = kind_of(tried)
    if kind == "choice":
        return Parameter(name, importance, kind, _by_frequency(best), _by_frequency(tried))
    low, high = float(min(tried)), float(max(tried))
    ends = (float(min(best)), float(max(best))) if best else (math.nan, math.nan)
    return Parameter(name, importance, kind, ends, (low, high))


def _by_frequency(values: list[Any]) -> list[Any]:
    counted: dict[str, tuple[int, Any]] = {}
    for value in values:
        count, first = counted.get(repr(value), (0, value))
        counted[repr(value)] = (count + 1, first)
    return [value for _, value in sorted(counted.values(), key=lambda pair: -pair[0])]
