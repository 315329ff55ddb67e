"""Ax as a searcher: Bayesian optimization with BoTorch's models."""

from __future__ import annotations

import copy
from typing import Any

from skate.air.result import look_up
from skate.tune.search import spaces as _spaces
from skate.tune.search.sample import Categorical, Float, Integer, LogUniform, Uniform
from skate.tune.utils.dictionaries import unflatten_dict

_INSTALL = "ax-platform"


class AxSearch(_spaces.AdaptedSearcher):
    """Suggests what Ax suggests.

    Args:
        space: Ax's parameters, a list of dictionaries with "name", "type" and "bounds", "values" or "value"; or a dictionary of
            domains. Default: the `param_space` of the search.
        metric: The metric.
        mode: "min" or "max".
        points_to_evaluate: Parameters to try first.
        parameter_constraints: Constraints of parameters, such as "x1 <= x2".
        outcome_constraints: Constraints of other metrics, such as "size <= 3"; trials have to report these.
        ax_client: A client of Ax's with an experiment; then `space`, `metric` and `mode` are the experiment's.
        **ax_kwargs: For the `AxClient` that is made otherwise.

    Raises:
        ImportError: Ax is not installed.
        ValueError: arguments contradict one another.
    """

    def __init__(
        self,
        space: dict[str, Any] | list[dict[str, Any]] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
        parameter_constraints: list[str] | None = None,
        outcome_constraints: list[str] | None = None,
        ax_client: Any = None,
        **ax_kwargs: Any,
    ) -> None:
        self._service = _spaces.load("ax.service.ax_client", _INSTALL)
        super().__init__(metric=metric, mode=mode)
        if _spaces.has_domains(space):
            assert isinstance(space, dict)
            space = self.convert_search_space(space)
        self._space = space
        self._points = _spaces.flat_points(points_to_evaluate)
        self._parameter_constraints = parameter_constraints
        self._outcome_constraints = outcome_constraints
        self._settings = ax_kwargs
        self._client: Any = ax_client
        self._open: dict[str, int] = {}
        if ax_client is not None:
            self._take_over()
        elif space and metric and mode:
            self._set_up()

    def _take_over(self) -> None:
        """Use the client's own experiment."""
        if self._space or self._metric or self._mode:
            raise ValueError(
                "If you create the Ax experiment beforehand, do not pass values for `space`, `metric`, or `mode`: they are the "
                "experiment's."
            )
        try:
            experiment = self._client.experiment
        except AssertionError as error:
            raise ValueError(
                "the AxClient has no experiment: call its create_experiment() first, or leave ax_client out."
            ) from error
        objective = experiment.optimization_config.objective
        self._space = list(experiment.parameters)
        self._metric, self._mode = objective.metric_names[0], "min" if objective.minimize else "max"

    def _set_up(self) -> None:
        settings = {"verbose_logging": False, "enforce_sequential_optimization": False, **self._settings}
        self._client = self._service.AxClient(**settings)
        self._client.create_experiment(
            parameters=copy.deepcopy(self._space),
            objectives={self._metric: self._service.ObjectiveProperties(minimize=self._mode != "max")},
            parameter_constraints=self._parameter_constraints,
            outcome_constraints=self._outcome_constraints,
        )

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take up the metric, the mode and the search space."""
        if self._client is not None or (self._metric and metric) or (self._mode and mode):
            return False
        if not self._space:
            self._space = self.convert_search_space(config)
        self._learn_properties(metric, mode)
        self._set_up()
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Ask Ax for parameters; None while it waits for trials that run."""
        self._need_space(bool(self._space) and self._client is not None)
        if self._points:
            parameters, index = self._client.attach_trial(self._points.pop(0))
        else:
            errors = _spaces.load("ax.exceptions.core", _INSTALL)
            strategy = _spaces.load("ax.exceptions.generation_strategy", _INSTALL)
            try:
                parameters, index = self._client.get_next_trial()
            except (errors.DataRequiredError, strategy.MaxParallelismReachedException):
                if not self._open:
                    raise
                return None
        self._open[trial_id] = index
        return unflatten_dict(dict(parameters))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell Ax how well the parameters did, or that they failed."""
        index = self._open.pop(trial_id, None)
        if index is None:
            return
        if error or self._value(result) is None:
            self._client.log_trial_failure(index)
            return
        assert result is not None
        names = self._client.experiment.optimization_config.metric_names
        missing = [name for name in names if look_up(result, name) is None]
        if missing:
            raise ValueError(
                f"the trial {trial_id} has not reported {missing}, which the experiment's objective or constraints need."
            )
        self._client.complete_trial(index, {name: (float(look_up(result, name)), None) for name in names})

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Tell Ax of parameters that were tried elsewhere."""
        from skate.tune.utils.dictionaries import flatten_dict

        self._need_space(self._client is not None)
        if pruned:
            return
        known = self._client.experiment.parameters
        flat = {name: each for name, each in flatten_dict(parameters).items() if name in known}
        _, index = self._client.attach_trial(flat)
        if error:
            self._client.log_trial_failure(index)
        else:
            self._client.complete_trial(index, {self._metric: (float(value), None)})

    def _state_to_save(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name not in ("_service", "_client")}
        return {**state, "_client_json": None if self._client is None else self._client.to_json_snapshot()}

    def restore(self, checkpoint_path: str) -> None:
        """Take back what was saved."""
        super().restore(checkpoint_path)
        snapshot = self.__dict__.pop("_client_json")
        if snapshot is not None:
            self._client = self._service.AxClient.from_json_snapshot(snapshot)

    @staticmethod
    def convert_search_space(spec: dict[str, Any]) -> list[dict[str, Any]]:
        """Ax's parameters for a search space.

        Args:
            spec: The search space.

        Returns:
            A dictionary for each parameter that is to be chosen.

        Raises:
            ValueError: there is a grid in it, or a domain that Ax does not know.
        """
        domains = _spaces.domains_of(spec, "an Ax")
        return [_convert(name, domain) for name, domain in domains.items()]


def _convert(name: str, domain: Any) -> dict[str, Any]:
    sampler, step = _spaces.split_sampler(domain)
    if step not in (None, 1):
        raise ValueError(f"Ax has no steps, as {name!r} has: use a domain without `q`, or tune.choice().")
    if isinstance(domain, Float | Integer) and isinstance(sampler, Uniform | LogUniform):
        whole = isinstance(domain, Integer)
        upper = domain.upper - 1 if whole and step is None else domain.upper
        return {
            "name": name,
            "type": "range",
            "bounds": [domain.lower, upper],
            "value_type": "int" if whole else "float",
            "log_scale": isinstance(sampler, LogUniform),
        }
    if isinstance(domain, Categorical) and isinstance(sampler, Uniform):
        return {
            "name": name,
            "type": "choice",
            "values": domain.categories,
            "is_ordered": False,
            "sort_values": False,
        }
    raise _spaces.unsupported(domain, "AxSearch")


__all__ = ["AxSearch"]
