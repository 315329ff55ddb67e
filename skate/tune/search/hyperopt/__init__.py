"""HyperOpt as a searcher."""

from __future__ import annotations

from skate.tune.search.hyperopt.hyperopt_search import HyperOptSearch

__all__ = ["HyperOptSearch"]
