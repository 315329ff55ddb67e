"""BOHB as a searcher: its model of good and bad parameters, to be used with `HyperBandForBOHB`."""

from __future__ import annotations

import copy
from typing import Any

from skate.tune.search import spaces as _spaces
from skate.tune.search.sample import Categorical, Float, Integer, LogUniform, Normal, Uniform
from skate.tune.utils.dictionaries import unflatten_dict

_INSTALL = 'hpbandster "ConfigSpace>=1"'


class TuneBOHB(_spaces.AdaptedSearcher):
    """Suggests what BOHB's model suggests.

    Args:
        space: A search space of ConfigSpace's; default: the `param_space` of the search.
        bohb_config: For hpbandster's `BOHB`.
        metric: The metric.
        mode: "min" or "max".
        points_to_evaluate: Parameters to try first.
        seed: A seed for the search space.
        max_concurrent: Accepted for Ray's programs: say `TuneConfig(max_concurrent_trials)`.

    Raises:
        ImportError: hpbandster or ConfigSpace is not installed.
    """

    def __init__(
        self,
        space: Any = None,
        bohb_config: dict[str, Any] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
        seed: int | None = None,
        max_concurrent: int = 0,
    ) -> None:
        self._generators = _spaces.load("hpbandster.optimizers.config_generators.bohb", _INSTALL)
        _spaces.load("ConfigSpace", _INSTALL)
        super().__init__(metric=metric, mode=mode)
        self._settings = dict(bohb_config or {})
        self._points = _spaces.flat_points(points_to_evaluate)
        self._seed = seed
        self._open: dict[str, dict[str, Any]] = {}
        self._told: list[_Job] = []
        self.paused: set[str] = set()
        self._bohb: Any = None
        if _spaces.has_domains(space):
            space = self.convert_search_space(space)
        self._space = space
        if space is not None and metric and mode:
            self._set_up()

    def _set_up(self) -> None:
        if self._seed is not None:
            self._space.seed(self._seed)
        self._bohb = self._generators.BOHB(self._space, **self._settings)
        for job in self._told:
            self._bohb.new_result(job)

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take up the metric, the mode and the search space."""
        if self._bohb is not None or (self._metric and metric) or (self._mode and mode):
            return False
        if self._space is None:
            self._space = self.convert_search_space(config)
        self._learn_properties(metric, mode)
        self._set_up()
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Ask BOHB for parameters."""
        self._need_space(self._bohb is not None)
        point = self._points.pop(0) if self._points else dict(self._bohb.get_config(None)[0])
        self._open[trial_id] = copy.deepcopy(point)
        return unflatten_dict({name: _plain(value) for name, value in point.items()})

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tell BOHB how well the parameters do after the bracket's budget.

        Raises:
            RuntimeError: the scheduler is another than `HyperBandForBOHB`.
        """
        if "hyperband_info" not in result:
            raise RuntimeError(
                "BOHB Info not detected in result. Are you using HyperBandForBOHB as a scheduler? Pass "
                "TuneConfig(scheduler=HyperBandForBOHB())."
            )
        value = self._value(result)
        info = result["hyperband_info"]
        if value is not None and trial_id in self._open:
            self._tell(_Job(self._sign * value, float(info.get("budget", 1)), self._open[trial_id]))

    def _tell(self, job: _Job) -> None:
        self._told.append(job)
        self._bohb.new_result(job)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Forget the trial: its results have been told as they came."""
        self._open.pop(trial_id, None)
        self.paused.discard(trial_id)

    def on_pause(self, trial_id: str) -> None:
        """Take note that a trial waits for its bracket."""
        self.paused.add(trial_id)

    def on_unpause(self, trial_id: str) -> None:
        """Take note that a trial goes on."""
        self.paused.discard(trial_id)

    def _state_to_save(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_generators", "_bohb")}

    def restore(self, checkpoint_path: str) -> None:
        """Take back what was saved."""
        super().restore(checkpoint_path)
        if self._space is not None and self._metric and self._mode:
            self._set_up()

    @staticmethod
    def convert_search_space(spec: dict[str, Any]) -> Any:
        """ConfigSpace's search space for a search space.

        Args:
            spec: The search space.

        Returns:
            A `ConfigurationSpace`.

        Raises:
            ValueError: there is a grid in it, or a domain that BOHB does not know.
        """
        return convert_to_config_space(spec, "TuneBOHB", _INSTALL)


class _Job:
    """A result, as hpbandster's generators take it."""

    def __init__(self, loss: float, budget: float, config: dict[str, Any]) -> None:
        self.result = {"loss": loss}
        self.kwargs = {"budget": budget, "config": config}
        self.exception = None


def convert_to_config_space(spec: dict[str, Any], who: str, install: str) -> Any:
    """ConfigSpace's search space for a search space.

    Args:
        spec: The search space.
        who: Whose adapter asks, for messages.
        install: What to install if ConfigSpace is missing.

    Raises:
        ValueError: there is a grid in it, or a domain that ConfigSpace does not know.
    """
    domains = _spaces.domains_of(spec, f"a {who}")
    library = _spaces.load("ConfigSpace", install)
    space = library.ConfigurationSpace()
    for name, domain in domains.items():
        space.add(_convert(name, domain, library, who))
    return space


def _convert(name: str, domain: Any, library: Any, who: str) -> Any:
    sampler, step = _spaces.split_sampler(domain)
    if step not in (None, 1):
        raise ValueError(f"{who} has no steps, as {name!r} has: use a domain without `q`, or tune.choice().")
    log = isinstance(sampler, LogUniform)
    if isinstance(domain, Float) and isinstance(sampler, Normal):
        return library.NormalFloatHyperparameter(
            name,
            mu=sampler.mean,
            sigma=sampler.sd,
            lower=sampler.mean - 10 * sampler.sd,
            upper=sampler.mean + 10 * sampler.sd,
        )
    if isinstance(domain, Float) and isinstance(sampler, Uniform | LogUniform):
        return library.UniformFloatHyperparameter(name, lower=domain.lower, upper=domain.upper, log=log)
    if isinstance(domain, Integer) and isinstance(sampler, Uniform | LogUniform):
        return library.UniformIntegerHyperparameter(name, lower=domain.lower, upper=domain.upper - 1, log=log)
    if isinstance(domain, Categorical) and isinstance(sampler, Uniform):
        return library.CategoricalHyperparameter(name, choices=domain.categories)
    raise _spaces.unsupported(domain, who)


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    return value.item() if hasattr(value, "item") else value


__all__ = ["TuneBOHB", "convert_to_config_space"]
