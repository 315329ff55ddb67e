"""Ax as a searcher."""

from __future__ import annotations

from skate.tune.search.ax.ax_search import AxSearch

__all__ = ["AxSearch"]
