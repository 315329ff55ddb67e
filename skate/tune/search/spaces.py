"""What adapters of search libraries share: a search space as pairs of name and domain, and checks of what they are given."""

from __future__ import annotations

import importlib
from typing import Any

from skate.tune import result as _keys
from skate.tune.search.sample import Domain, Quantized, Sampler
from skate.tune.search.searcher import (
    UNDEFINED_METRIC_MODE as _UNDEFINED_METRIC_MODE,
)
from skate.tune.search.searcher import (
    UNDEFINED_SEARCH_SPACE as _UNDEFINED_SEARCH_SPACE,
)
from skate.tune.search.searcher import Searcher
from skate.tune.search.variant_generator import parse_spec_vars
from skate.tune.utils.dictionaries import flatten_dict

__all__ = [
    "AdaptedSearcher",
    "domains_of",
    "flat_points",
    "has_domains",
    "load",
    "split_sampler",
    "unsupported",
]


def domains_of(spec: dict[str, Any], library: str) -> dict[str, Domain]:
    """The domains of a search space by name; a nested one is named by its path, "a/b".

    Args:
        spec: The search space.
        library: Whose adapter asks, for messages.

    Raises:
        ValueError: there is a grid in it, which a searcher that learns can't run through.
    """
    _, domains, grids = parse_spec_vars(spec)
    if grids:
        names = ", ".join("/".join(map(str, path)) for path, _ in grids)
        raise ValueError(
            f"Grid search parameters cannot be automatically converted to {library} search space: {names}. Use "
            "tune.choice() in place of tune.grid_search()."
        )
    return {"/".join(map(str, path)): domain for path, domain in domains}


def has_domains(spec: Any) -> bool:
    """Whether there are domains of this library in what should be another library's search space."""
    if not isinstance(spec, dict):
        return False
    _, domains, grids = parse_spec_vars(spec)
    return bool(domains or grids)


def split_sampler(domain: Domain) -> tuple[Sampler, float | None]:
    """A domain's sampler, and the step to whose multiples it rounds."""
    sampler = domain.get_sampler()
    if isinstance(sampler, Quantized):
        return sampler.get_sampler(), sampler.q
    return sampler, None


def unsupported(domain: Domain, library: str) -> ValueError:
    """The error for a domain that a library does not know."""
    return ValueError(
        f"{library} does not support parameters of type `{type(domain).__name__}` with samplers of type "
        f"`{type(split_sampler(domain)[0]).__name__}`."
    )


def flat_points(points: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Points to try, with their parameters named by path.

    Raises:
        ValueError: they are not a list of dictionaries.
    """
    if points is None:
        return []
    if not isinstance(points, list) or any(not isinstance(point, dict) for point in points):
        raise ValueError(f"points_to_evaluate must be a list of dictionaries, not {points!r}.")
    return [flatten_dict(point) for point in points]


def load(module: str, install: str) -> Any:
    """Import a search library.

    Args:
        module: Its module.
        install: What to install.

    Raises:
        ImportError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{module} can't be imported ({error}). Install it: pip install {install}"
        ) from error


class AdaptedSearcher(Searcher):
    """A searcher of another library that makes one metric better.

    Args:
        metric: The metric.
        mode: "min" or "max".
    """

    _space: Any = None

    def _learn_properties(self, metric: str | None, mode: str | None) -> None:
        self._metric = metric or self._metric
        self._mode = mode or self._mode
        if self._metric is None and self._mode:
            self._metric = _keys.DEFAULT_METRIC

    @property
    def _sign(self) -> float:
        """What a metric is multiplied by so that less is better."""
        return -1.0 if self._mode == "max" else 1.0

    def _need_space(self, ready: bool, name: str = "space") -> None:
        if not ready:
            raise RuntimeError(_UNDEFINED_SEARCH_SPACE.format(cls=type(self).__name__, space=name))
        if not self._metric or not self._mode:
            raise RuntimeError(
                _UNDEFINED_METRIC_MODE.format(cls=type(self).__name__, metric=self._metric, mode=self._mode)
            )

    def _value(self, result: dict[str, Any] | None) -> float | None:
        """The metric in a result; None if it is not there, or no number."""
        import math

        from skate.air.result import look_up

        value = look_up(result, str(self._metric)) if result else None
        if value is None or math.isnan(float(value)):
            return None
        return float(value)
