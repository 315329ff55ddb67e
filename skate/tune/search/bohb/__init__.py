"""BOHB as a searcher."""

from __future__ import annotations

from skate.tune.search.bohb.bohb_search import TuneBOHB

__all__ = ["TuneBOHB"]
