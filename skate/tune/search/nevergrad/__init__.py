"""Nevergrad as a searcher."""

from __future__ import annotations

from skate.tune.search.nevergrad.nevergrad_search import NevergradSearch

__all__ = ["NevergradSearch"]
