"""SMAC as a searcher."""

from __future__ import annotations

from skate.tune.search.smac.smac_search import SMACSearch

__all__ = ["SMACSearch"]
