"""SMAC as a searcher: Bayesian optimization with random forests."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skate.tune.search import spaces as _spaces
from skate.tune.search.bohb.bohb_search import convert_to_config_space as _convert_to_config_space
from skate.tune.utils.dictionaries import flatten_dict, unflatten_dict

_INSTALL = "smac"
_MANY = 10_000
"""How many trials SMAC is told there will be, if that is not known."""


class SMACSearch(_spaces.AdaptedSearcher):
    """Suggests what SMAC suggests.

    Args:
        space: A search space of ConfigSpace's; or a dictionary of domains. Default: the `param_space` of the search.
        metric: The metric.
        mode: "min" or "max".
        points_to_evaluate: Parameters to try first.
        seed: A seed.
        n_initial: How many of the first trials are spread evenly; default: SMAC's.
        **scenario_kwargs: For SMAC's `Scenario`.

    Raises:
        ImportError: SMAC is not installed.
        ValueError: an argument makes no sense.
    """

    def __init__(
        self,
        space: Any = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: list[dict[str, Any]] | None = None,
        seed: int | None = None,
        n_initial: int | None = None,
        **scenario_kwargs: Any,
    ) -> None:
        self._library = _spaces.load("smac", _INSTALL)
        super().__init__(metric=metric, mode=mode)
        self._points = _spaces.flat_points(points_to_evaluate)
        self._seed = seed
        self._n_initial = n_initial
        self._settings = scenario_kwargs
        self._facade: Any = None
        self._open: dict[str, Any] = {}
        self._told: list[tuple[dict[str, Any], float]] = []
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        if _spaces.has_domains(space):
            space = self.convert_search_space(space)
        self._space = space
        if space is not None and metric and mode:
            self._set_up()

    def _set_up(self) -> None:
        facades = self._library.HyperparameterOptimizationFacade
        # SMAC writes files as it goes, and would go on with those of an earlier run.
        self._directory = tempfile.TemporaryDirectory(prefix="skate-smac-")
        settings = {"n_trials": _MANY, "deterministic": True, "seed": self._seed or 0, **self._settings}
        scenario = self._library.Scenario(
            self._space, output_directory=Path(self._directory.name), **settings
        )
        design: dict[str, Any] = {} if self._n_initial is None else {"n_configs": self._n_initial}
        with _quiet():
            self._facade = facades(
                scenario,
                _nothing,
                initial_design=facades.get_initial_design(scenario, **design),
                overwrite=True,
                logging_level=logging.WARNING,
            )
        for point, loss in self._told:
            self._tell(self._info_of(point), loss)

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take up the metric, the mode and the search space."""
        if self._facade is not None or (self._metric and metric) or (self._mode and mode):
            return False
        if self._space is None:
            self._space = self.convert_search_space(config)
        self._learn_properties(metric, mode)
        self._set_up()
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Ask SMAC for parameters."""
        self._need_space(self._facade is not None)
        info = self._info_of(self._points.pop(0)) if self._points else self._facade.ask()
        self._open[trial_id] = info
        return unflatten_dict({name: _plain(value) for name, value in dict(info.config).items()})

    def _info_of(self, point: dict[str, Any]) -> Any:
        """What SMAC takes for a trial, from its parameters."""
        configuration = _spaces.load("ConfigSpace", _INSTALL).Configuration(self._space, values=point)
        classes = _spaces.load("smac.runhistory.dataclasses", _INSTALL)
        return classes.TrialInfo(config=configuration, seed=self._facade.scenario.seed)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell SMAC how well the parameters did."""
        info, value = self._open.pop(trial_id, None), self._value(result)
        if info is None or value is None or error:
            return
        loss = self._sign * value
        self._told.append(({name: _plain(each) for name, each in dict(info.config).items()}, loss))
        self._tell(info, loss)

    def _tell(self, info: Any, loss: float) -> None:
        classes = _spaces.load("smac.runhistory.dataclasses", _INSTALL)
        self._facade.tell(info, classes.TrialValue(cost=loss))

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Tell SMAC of parameters that were tried elsewhere."""
        if error or pruned:
            return
        flat = {name: each for name, each in flatten_dict(parameters).items() if name in self._space}
        self._told.append((flat, self._sign * value))
        self._tell(self._info_of(flat), self._sign * value)

    def _state_to_save(self) -> dict[str, Any]:
        left_out = ("_library", "_facade", "_directory")
        state = {name: value for name, value in self.__dict__.items() if name not in left_out}
        return {**state, "_open": {name: dict(info.config) for name, info in self._open.items()}}

    def restore(self, checkpoint_path: str) -> None:
        """Take back what was saved: SMAC is told again of all that it had been told."""
        super().restore(checkpoint_path)
        if self._space is not None and self._metric and self._mode:
            self._set_up()
            self._open = {name: self._info_of(point) for name, point in self._open.items()}

    @staticmethod
    def convert_search_space(spec: dict[str, Any]) -> Any:
        """ConfigSpace's search space for a search space.

        Args:
            spec: The search space.

        Returns:
            A `ConfigurationSpace`.

        Raises:
            ValueError: there is a grid in it, or a domain that SMAC does not know.
        """
        return _convert_to_config_space(spec, "SMACSearch", _INSTALL)


def _nothing(config: Any, seed: int = 0) -> float:
    raise RuntimeError("SMAC is asked and told; it runs nothing by itself.")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Undo what SMAC does to the program's logging."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    return value.item() if hasattr(value, "item") else value


__all__ = ["SMACSearch"]
