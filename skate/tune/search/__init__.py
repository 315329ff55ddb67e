"""What to try next: search spaces, and the algorithms that draw from them."""

from __future__ import annotations

import importlib
from typing import Any

from skate.tune.search.basic_variant import BasicVariantGenerator
from skate.tune.search.concurrency_limiter import ConcurrencyLimiter
from skate.tune.search.repeater import Repeater
from skate.tune.search.search_algorithm import SearchAlgorithm
from skate.tune.search.search_generator import SearchGenerator
from skate.tune.search.searcher import (
    UNDEFINED_METRIC_MODE,
    UNDEFINED_SEARCH_SPACE,
    UNRESOLVED_SEARCH_SPACE,
    Searcher,
)
from skate.tune.search.variant_generator import grid_search

__all__ = [
    "UNDEFINED_METRIC_MODE",
    "UNDEFINED_SEARCH_SPACE",
    "UNRESOLVED_SEARCH_SPACE",
    "BasicVariantGenerator",
    "ConcurrencyLimiter",
    "Repeater",
    "SearchAlgorithm",
    "SearchGenerator",
    "Searcher",
    "create_searcher",
    "grid_search",
]

_NAMES = {
    "variant_generator": ("basic_variant", "BasicVariantGenerator"),
    "random": ("basic_variant", "BasicVariantGenerator"),
    "ax": ("ax", "AxSearch"),
    "optuna": ("optuna", "OptunaSearch"),
    "hyperopt": ("hyperopt", "HyperOptSearch"),
    "bayesopt": ("bayesopt", "BayesOptSearch"),
    "nevergrad": ("nevergrad", "NevergradSearch"),
    "zoopt": ("zoopt", "ZOOptSearch"),
    "bohb": ("bohb", "TuneBOHB"),
    "hebo": ("hebo", "HEBOSearch"),
    "smac": ("smac", "SMACSearch"),
}


def create_searcher(search_alg: str, **kwargs: Any) -> Searcher | SearchAlgorithm:
    """Make a search algorithm by its name.

    Args:
        search_alg: The name, such as "random" or "optuna".
        **kwargs: For the search algorithm.

    Returns:
        The search algorithm.

    Raises:
        ValueError: there is none of the name.
        ImportError: the library that it needs is not installed.

    Example:
        >>> type(create_searcher("random")).__name__
        'BasicVariantGenerator'
    """
    key = search_alg.lower()
    if key not in _NAMES:
        raise ValueError(
            f"The `search_alg` argument must be one of {list(_NAMES)}. Got: {search_alg!r}. Pass a Searcher for one of "
            "your own."
        )
    module, name = _NAMES[key]
    made: Searcher | SearchAlgorithm = getattr(importlib.import_module(f"{__name__}.{module}"), name)(
        **kwargs
    )
    return made
