"""The bayesian-optimization library as a searcher."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from skate.tune.search import spaces as _spaces
from skate.tune.search.sample import Float, Uniform
from skate.tune.search.searcher import Searcher
from skate.tune.utils.dictionaries import flatten_dict, unflatten_dict

if TYPE_CHECKING:
    from skate.tune.analysis import ExperimentAnalysis

_logger = logging.getLogger(__name__)


class BayesOptSearch(_spaces.AdaptedSearcher):
    """Suggests what a Gaussian process suggests. All parameters must be ranges of real numbers.

    Args:
        space: The least and the greatest value of each parameter, by name; default: the `param_space` of the search.
        metric: The metric.
        mode: "min" or "max".
        points_to_evaluate: Parameters to try first.
        utility_kwargs: The acquisition function: `{"kind": "ucb", "kappa": 2.576}`, or "ei" or "poi" with "xi".
        random_state: A seed.
        random_search_steps: How many suggestions are drawn at random.
        verbose: Accepted for Ray's programs.
        patience: After how many suggestions of the same parameters in a row the search ends.
        skip_duplicate: Whether parameters that have been suggested before are left out.
        analysis: Trials of another search to learn from.
        repeat_float_precision: Digits up to which parameters count as the same.

    Raises:
        ImportError: the library is not installed.
    """

    def __init__(
        self,
        space: dict[str, Any] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
        utility_kwargs: dict[str, Any] | None = None,
        random_state: int = 42,
        random_search_steps: int = 10,
        verbose: int = 0,
        patience: int = 5,
        skip_duplicate: bool = True,
        analysis: ExperimentAnalysis | None = None,
        repeat_float_precision: int = 5,
    ) -> None:
        self._library = _spaces.load("bayes_opt", '"bayesian-optimization>=2"')
        if not hasattr(self._library, "acquisition"):
            raise ImportError(
                'BayesOptSearch needs version 2 or newer: pip install -U "bayesian-optimization>=2"'
            )
        if patience <= 0:
            raise ValueError("patience must be set to a value greater than 0!")
        super().__init__(metric=metric, mode=mode)
        import numpy as np

        self._points = _spaces.flat_points(points_to_evaluate)
        self._utility = utility_kwargs or {"kind": "ucb", "kappa": 2.576}
        self._seed = random_state
        self._random = np.random.RandomState(random_state)
        self._random_left = random_search_steps
        self._patience = patience
        self._skip_duplicate = skip_duplicate
        self._digits = repeat_float_precision
        self._analysis = analysis
        self._suggested: dict[str, dict[str, float]] = {}
        self._seen: dict[tuple[float, ...], int] = {}
        self._told: list[tuple[dict[str, float], float]] = []
        self._optimizer: Any = None
        if _spaces.has_domains(space):
            assert space is not None
            space = self.convert_search_space(space)
        self._space = space
        if space:
            self._set_up()

    def _acquisition(self) -> Any:
        kinds = self._library.acquisition
        kind = self._utility.get("kind", "ucb")
        if kind == "ucb":
            return kinds.UpperConfidenceBound(
                kappa=self._utility.get("kappa", 2.576), random_state=self._seed
            )
        if kind in ("ei", "poi"):
            chosen = kinds.ExpectedImprovement if kind == "ei" else kinds.ProbabilityOfImprovement
            return chosen(xi=self._utility.get("xi", 0.0), random_state=self._seed)
        raise ValueError(f"utility_kwargs: the kind {kind!r} is not one of 'ucb', 'ei', 'poi'.")

    def _set_up(self) -> None:
        self._optimizer = self._library.BayesianOptimization(
            f=None,
            pbounds=self._space,
            acquisition_function=self._acquisition(),
            random_state=self._random,
            verbose=0,
            allow_duplicate_points=True,
        )
        for point, target in self._told:
            self._optimizer.register(params=point, target=target)

    @property
    def optimizer(self) -> Any:
        """The `BayesianOptimization` that suggests; None until the search space is known."""
        return self._optimizer

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take up the metric, the mode and the search space."""
        if self._optimizer is not None or (self._metric and metric) or (self._mode and mode):
            return False
        self._space = self.convert_search_space(config)
        self._learn_properties(metric, mode)
        self._set_up()
        if self._analysis is not None:
            self.register_analysis(self._analysis)
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Ask the library for parameters."""
        self._need_space(self._optimizer is not None)
        if self._points:
            point = self._points.pop(0)
        elif self._random_left > 0 or not self._told:
            self._random_left -= 1
            point = {name: self._random.uniform(low, high) for name, (low, high) in self._space.items()}
        else:
            point = {name: float(value) for name, value in self._optimizer.suggest().items()}
        key = tuple(round(point[name], self._digits) for name in sorted(point))
        times = self._seen[key] = self._seen.get(key, 0) + 1
        if times > 1 and self._skip_duplicate:
            if times > self._patience:
                return Searcher.FINISHED  # type: ignore[return-value]  # what says that there will be no more
            _logger.info("The same parameters have been suggested before: %s", point)
            return None
        self._suggested[trial_id] = point
        return unflatten_dict(point)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the library how well the parameters did."""
        point, value = self._suggested.pop(trial_id, None), self._value(result)
        if point is None:
            return
        if value is not None and not error and math.isfinite(value):
            self._tell(point, value)
        elif self._told:  # it would be suggested again: as bad as the worst it is in any case
            self._register(point, min(target for _, target in self._told))

    def _tell(self, point: dict[str, float], value: float) -> None:
        self._register(point, -self._sign * value)  # more is better

    def _register(self, point: dict[str, float], target: float) -> None:
        self._told.append((point, target))
        self._optimizer.register(params=point, target=target)

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Tell the library of parameters that were tried elsewhere."""
        flat = {name: float(each) for name, each in flatten_dict(parameters).items() if name in self._space}
        if not error and not pruned:
            self._tell(flat, value)

    def register_analysis(self, analysis: ExperimentAnalysis) -> None:
        """Learn from the trials of another search.

        Args:
            analysis: The other search.
        """
        self.add_evaluated_trials(analysis, str(self._metric))

    def _state_to_save(self) -> dict[str, Any]:
        return {
            name: value for name, value in self.__dict__.items() if name not in ("_library", "_optimizer")
        }

    def restore(self, checkpoint_path: str) -> None:
        """Take back what was saved."""
        super().restore(checkpoint_path)
        if self._space:
            self._set_up()

    @staticmethod
    def convert_search_space(spec: dict[str, Any], join: bool = False) -> dict[str, Any]:
        """The bounds of a search space's parameters.

        Args:
            spec: The search space.
            join: Whether fixed parameters are in the result, too.

        Returns:
            Bounds by name.

        Raises:
            ValueError: a parameter is no range of real numbers.
        """
        bounds = {}
        for name, domain in _spaces.domains_of(spec, "a BayesOpt").items():
            sampler, step = _spaces.split_sampler(domain)
            if not isinstance(domain, Float):
                raise _spaces.unsupported(domain, "BayesOpt")
            if not isinstance(sampler, Uniform) or step is not None:
                _logger.warning("BayesOpt draws %r uniformly, without steps.", name)
            bounds[name] = (domain.lower, domain.upper)
        return {**spec, **bounds} if join else bounds


__all__ = ["BayesOptSearch"]
