"""Nevergrad as a searcher."""

from __future__ import annotations

import inspect
from typing import Any

from skate.tune.search import spaces as _spaces
from skate.tune.search.sample import Categorical, Float, Integer, LogUniform, Uniform
from skate.tune.utils.dictionaries import unflatten_dict


class NevergradSearch(_spaces.AdaptedSearcher):
    """Suggests what an optimizer of Nevergrad suggests.

    Args:
        optimizer: A class of optimizers, or an optimizer; default: `NGOpt`.
        optimizer_kwargs: For the class.
        space: Nevergrad's parametrization, or a list of parameters' names for an optimizer with an array; default: the
            `param_space` of the search.
        metric: The metric.
        mode: "min" or "max".
        points_to_evaluate: Parameters to try first.

    Raises:
        ImportError: Nevergrad is not installed.
        ValueError: the optimizer is none.
    """

    def __init__(
        self,
        optimizer: Any = None,
        optimizer_kwargs: dict[str, Any] | None = None,
        space: Any = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
    ) -> None:
        self._library = _spaces.load("nevergrad", "nevergrad")
        super().__init__(metric=metric, mode=mode)
        self._points = _spaces.flat_points(points_to_evaluate)
        self._settings = dict(optimizer_kwargs or {})
        self._factory: Any = optimizer or self._library.optimizers.NGOpt
        self._optimizer: Any = None
        self._open: dict[str, Any] = {}
        if _spaces.has_domains(space):
            space = self.convert_search_space(space)
        self._space = space
        if isinstance(self._factory, self._library.optimizers.base.Optimizer):
            if self._settings:
                raise ValueError(
                    "If an optimizer is passed, optimizer_kwargs must be empty: it has been made already."
                )
            self._optimizer = self._factory
        elif not (inspect.isclass(self._factory) or callable(self._factory)):
            raise ValueError(
                f"optimizer={optimizer!r} is neither an optimizer of Nevergrad's nor a class of them."
            )
        elif space is not None and not isinstance(space, list):
            self._set_up()

    def _set_up(self) -> None:
        self._optimizer = self._factory(self._space, **self._settings)
        for point in self._points:
            self._optimizer.suggest(point)
        self._points = []

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take up the metric, the mode and the search space."""
        if self._optimizer is not None or (self._metric and metric) or (self._mode and mode):
            return False
        self._space = self.convert_search_space(config)
        self._learn_properties(metric, mode)
        if self._factory is self._library.optimizers.NGOpt:  # it chooses by how many trials there will be
            number = spec.get("num_samples") or 0
            self._settings.setdefault("budget", number if number > 0 else _BUDGET)
        self._set_up()
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Ask Nevergrad for parameters."""
        self._need_space(self._optimizer is not None)
        candidate = self._open[trial_id] = self._optimizer.ask()
        value = candidate.value
        if isinstance(self._space, list):
            return unflatten_dict(dict(zip(self._space, candidate.args[0], strict=False)))
        if isinstance(value, tuple):  # a parametrization of a function's arguments
            value = candidate.kwargs
        return unflatten_dict(dict(value))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell Nevergrad how well the parameters did."""
        candidate, value = self._open.pop(trial_id, None), self._value(result)
        if candidate is not None and value is not None and not error:
            self._optimizer.tell(candidate, self._sign * value)

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Tell Nevergrad of parameters that were tried elsewhere."""
        from skate.tune.utils.dictionaries import flatten_dict

        if error or pruned:
            return
        candidate = self._optimizer.parametrization.spawn_child(new_value=flatten_dict(parameters))
        self._optimizer.tell(candidate, self._sign * value)

    def _state_to_save(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_library"}

    @staticmethod
    def convert_search_space(spec: dict[str, Any]) -> Any:
        """Nevergrad's parametrization of a search space.

        Args:
            spec: The search space.

        Returns:
            A dictionary of Nevergrad's parameters.

        Raises:
            ValueError: there is a grid in it, or a domain that Nevergrad does not know.
        """
        library = _spaces.load("nevergrad", "nevergrad")
        domains = _spaces.domains_of(spec, "a Nevergrad")
        return library.p.Dict(**{name: _convert(domain, library.p) for name, domain in domains.items()})


_BUDGET = 100
"""How many trials there will be, if that is not known."""


def _convert(domain: Any, parameters: Any) -> Any:
    sampler, step = _spaces.split_sampler(domain)
    if isinstance(domain, Categorical) and isinstance(sampler, Uniform):
        return parameters.Choice(choices=domain.categories)
    if isinstance(domain, Float | Integer) and isinstance(sampler, Uniform | LogUniform):
        if step not in (None, 1):
            raise ValueError("Nevergrad has no steps: use a domain without `q`, or tune.choice().")
        upper = domain.upper - 1 if isinstance(domain, Integer) else domain.upper
        if isinstance(sampler, LogUniform):
            made = parameters.Log(lower=domain.lower, upper=upper)
        else:
            made = parameters.Scalar(lower=domain.lower, upper=upper)
        return made.set_integer_casting() if isinstance(domain, Integer) else made
    raise _spaces.unsupported(domain, "Nevergrad")


__all__ = ["NevergradSearch"]
