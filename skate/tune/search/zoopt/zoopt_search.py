"""ZOOpt as a searcher."""

from __future__ import annotations

import copy
from typing import Any

from skate.tune.search import spaces as _spaces
from skate.tune.search.sample import Categorical, Float, Integer, Uniform
from skate.tune.search.searcher import Searcher
from skate.tune.utils.dictionaries import unflatten_dict


class ZOOptSearch(_spaces.AdaptedSearcher):
    """Suggests what ZOOpt's asynchronous sequential RACOS suggests.

    Args:
        algo: "asracos", the only one.
        budget: How many trials there will be.
        dim_dict: ZOOpt's dimensions by name; default: the `param_space` of the search.
        metric: The metric.
        mode: "min" or "max".
        points_to_evaluate: Parameters to try first.
        parallel_num: How many trials run at once.
        **kwargs: For ZOOpt's `Parameter`.

    Raises:
        ImportError: ZOOpt is not installed.
        ValueError: there is no budget, or another algorithm is asked for.
    """

    def __init__(
        self,
        algo: str = "asracos",
        budget: int | None = None,
        dim_dict: dict[str, Any] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
        parallel_num: int = 1,
        **kwargs: Any,
    ) -> None:
        self._library = _spaces.load("zoopt", "zoopt")
        if budget is None:
            raise ValueError("`budget` should not be None!")
        if algo.lower() not in ("asracos", "sracos"):
            raise ValueError(f"`algo` must be in ['asracos', 'sracos'] currently, not {algo!r}.")
        super().__init__(metric=metric, mode=mode)
        self._budget = budget
        self._points = _spaces.flat_points(points_to_evaluate)
        self._parallel = parallel_num
        self._settings = kwargs
        self._optimizer: Any = None
        self._open: dict[str, Any] = {}
        if _spaces.has_domains(dim_dict):
            assert dim_dict is not None
            dim_dict = self.convert_search_space(dim_dict)
        self._space = dim_dict
        if dim_dict and metric and mode:
            self._set_up()

    def _set_up(self) -> None:
        from zoopt.algos.opt_algorithms.racos.sracos import SRacosTune

        names = list(self._space)
        dimension = self._library.Dimension2([self._space[name] for name in names])
        known = [self._library.Solution(x=[point[name] for name in names]) for point in self._points]
        parameter = self._library.Parameter(
            budget=self._budget,
            init_samples=known or None,
            parallel=self._parallel > 1,
            server_num=self._parallel,
            **self._settings,
        )
        self._optimizer = SRacosTune(dimension=dimension, parameter=parameter, parallel_num=self._parallel)

    @property
    def optimizer(self) -> Any:
        """The `SRacosTune` that suggests; None until the search space is known."""
        return self._optimizer

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take up the metric, the mode and the search space."""
        if self._space:
            if self._optimizer is not None or (self._metric and metric) or (self._mode and mode):
                return False
        else:
            self._space = self.convert_search_space(config)
        self._learn_properties(metric, mode)
        self._set_up()
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Ask ZOOpt for parameters."""
        self._need_space(self._optimizer is not None, "dim_dict")
        solution = self._ask()
        if solution is None and not self._open:
            # It waits for its first trials; if all of them have ended, for what has been: tell it, and ask again.
            self._optimizer.semaphore = 1
            solution = self._ask()
        if solution in (None, "FINISHED"):
            return Searcher.FINISHED if solution == "FINISHED" else None  # type: ignore[return-value]  # no more
        self._open[trial_id] = solution
        return unflatten_dict(dict(zip(self._space, copy.deepcopy(solution.get_x()), strict=True)))

    def _ask(self) -> Any:
        """A solution. It gives up when the one that it draws is not new; another draw may be."""
        solution: Any = "FINISHED"
        for _ in range(_DRAWS):
            solution = self._optimizer.suggest()
            if solution != "FINISHED":
                break
        return solution

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell ZOOpt how well the parameters did; that they failed, as the worst value there is."""
        solution = self._open.pop(trial_id, None)
        if solution is None:
            return
        value = self._value(result)
        best = self._optimizer.complete(
            solution, float("inf") if error or value is None else self._sign * value
        )
        if best is not None:
            self.best = best

    def _state_to_save(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_library"}

    @staticmethod
    def convert_search_space(spec: dict[str, Any], join: bool = False) -> dict[str, Any]:
        """ZOOpt's dimensions for a search space.

        Args:
            spec: The search space.
            join: Whether fixed parameters are in the result, too.

        Returns:
            Dimensions by name.

        Raises:
            ValueError: there is a grid in it, or a domain that ZOOpt does not know.
        """
        kinds = _spaces.load("zoopt", "zoopt").ValueType
        dimensions = {
            name: _convert(domain, kinds) for name, domain in _spaces.domains_of(spec, "a ZOOpt").items()
        }
        return {**spec, **dimensions} if join else dimensions


_DRAWS = 50


def _convert(domain: Any, kinds: Any) -> Any:
    sampler, step = _spaces.split_sampler(domain)
    if not isinstance(sampler, Uniform):
        raise _spaces.unsupported(domain, "ZOOpt")
    if isinstance(domain, Float):
        return (kinds.CONTINUOUS, [domain.lower, domain.upper], step or 1e-12)
    if isinstance(domain, Integer):
        return (kinds.DISCRETE, [domain.lower, domain.upper - 1], True)
    if isinstance(domain, Categorical):
        return (kinds.GRID, domain.categories)
    raise _spaces.unsupported(domain, "ZOOpt")


__all__ = ["ZOOptSearch"]
