"""ZOOpt as a searcher."""

from __future__ import annotations

from skate.tune.search.zoopt.zoopt_search import ZOOptSearch

__all__ = ["ZOOptSearch"]
