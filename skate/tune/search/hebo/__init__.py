"""HEBO as a searcher."""

from __future__ import annotations

from skate.tune.search.hebo.hebo_search import HEBOSearch

__all__ = ["HEBOSearch"]
