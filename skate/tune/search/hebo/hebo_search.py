"""HEBO as a searcher: heteroscedastic evolutionary Bayesian optimization."""

from __future__ import annotations

import math
from typing import Any

from skate.tune.search import spaces as _spaces
from skate.tune.search.sample import Categorical, Float, Integer, LogUniform, Uniform
from skate.tune.utils.dictionaries import flatten_dict, unflatten_dict

_INSTALL = "HEBO"


class HEBOSearch(_spaces.AdaptedSearcher):
    """Suggests what HEBO suggests.

    Args:
        space: A `DesignSpace` of HEBO's; or a dictionary of domains. Default: the `param_space` of the search.
        metric: The metric.
        mode: "min" or "max".
        points_to_evaluate: Parameters to try first.
        evaluated_rewards: The metric's values of `points_to_evaluate`, if they are known: then they are not tried.
        random_state_seed: A seed for NumPy's and PyTorch's generators.
        max_concurrent: How many suggestions may be open at once.
        **kwargs: For HEBO's optimizer.

    Raises:
        ImportError: HEBO is not installed.
        ValueError: an argument makes no sense.
    """

    def __init__(
        self,
        space: Any = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
        evaluated_rewards: list[Any] | None = None,
        random_state_seed: int | None = None,
        max_concurrent: int = 8,
        **kwargs: Any,
    ) -> None:
        _spaces.load("hebo", _INSTALL)
        super().__init__(metric=metric, mode=mode)
        if not isinstance(max_concurrent, int) or max_concurrent < 1:
            raise ValueError(f"`max_concurrent` must be an integer of at least 1, got {max_concurrent!r}.")
        self._points = _spaces.flat_points(points_to_evaluate)
        self._rewards = list(evaluated_rewards or [])
        if self._rewards and len(self._rewards) != len(self._points):
            raise ValueError(
                f"Dim of evaluated_rewards {len(self._rewards)} and points_to_evaluate {len(self._points)} do not match."
            )
        self._seed = random_state_seed
        self._most = max_concurrent
        self._settings = kwargs
        self._optimizer: Any = None
        self._open: dict[str, dict[str, Any]] = {}
        if _spaces.has_domains(space):
            space = self.convert_search_space(space)
        self._space = space
        if space is not None and metric and mode:
            self._set_up()

    def _set_up(self) -> None:
        if self._seed is not None:
            import numpy as np

            np.random.seed(self._seed)
            _spaces.load("torch", "torch").manual_seed(self._seed)
        optimizers = _spaces.load("hebo.optimizers.hebo", _INSTALL)
        self._optimizer = optimizers.HEBO(space=self._space, **self._settings)
        for point, reward in zip(self._points, self._rewards, strict=False):
            self.add_evaluated_point(point, reward)
        if self._rewards:
            self._points = []

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take up the metric, the mode and the search space."""
        if self._optimizer is not None or (self._metric and metric) or (self._mode and mode):
            return False
        if self._space is None:
            self._space = self.convert_search_space(config)
        self._learn_properties(metric, mode)
        self._set_up()
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Ask HEBO for parameters; None while enough suggestions are open."""
        self._need_space(self._optimizer is not None)
        if len(self._open) >= self._most:
            return None
        if self._points:
            point = self._points.pop(0)
        else:
            row = self._optimizer.suggest(n_suggestions=1).iloc[0]
            point = {name: _plain(value) for name, value in row.items()}
        self._open[trial_id] = point
        return unflatten_dict(dict(point))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell HEBO how well the parameters did."""
        point, value = self._open.pop(trial_id, None), self._value(result)
        if point is not None and value is not None and math.isfinite(value) and not error:
            self._observe(point, value)

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Tell HEBO of parameters that were tried elsewhere."""
        if not error and not pruned:
            self._observe(flatten_dict(parameters), value)

    def _observe(self, point: dict[str, Any], value: float) -> None:
        import numpy as np
        import pandas as pd

        frame = pd.DataFrame([{name: point[name] for name in self._space.para_names}])
        self._optimizer.observe(frame, np.array([[self._sign * value]]))

    @staticmethod
    def convert_search_space(spec: dict[str, Any], prefix: str = "") -> Any:
        """HEBO's search space for a search space.

        Args:
            spec: The search space.
            prefix: Stands before each name, with a slash.

        Returns:
            A `DesignSpace`.

        Raises:
            ValueError: there is a grid in it, or a domain that HEBO does not know.
        """
        domains = _spaces.domains_of(spec, "a HEBO")
        library = _spaces.load("hebo.design_space.design_space", _INSTALL)
        before = f"{prefix}/" if prefix else ""
        return library.DesignSpace().parse(
            [_convert(before + name, domain) for name, domain in domains.items()]
        )


def _convert(name: str, domain: Any) -> dict[str, Any]:
    sampler, step = _spaces.split_sampler(domain)
    if step not in (None, 1):
        raise ValueError(f"HEBO has no steps, as {name!r} has: use a domain without `q`, or tune.choice().")
    log = isinstance(sampler, LogUniform)
    if isinstance(domain, Float) and isinstance(sampler, Uniform | LogUniform):
        return {"name": name, "type": "pow" if log else "num", "lb": domain.lower, "ub": domain.upper}
    if isinstance(domain, Integer) and isinstance(sampler, Uniform | LogUniform):
        upper = domain.upper - 1 if step is None else domain.upper
        return {"name": name, "type": "pow_int" if log else "int", "lb": domain.lower, "ub": upper}
    if isinstance(domain, Categorical) and isinstance(sampler, Uniform):
        return {"name": name, "type": "cat", "categories": list(domain.categories)}
    raise _spaces.unsupported(domain, "HEBO")


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    return value.item() if hasattr(value, "item") else value


__all__ = ["HEBOSearch"]
