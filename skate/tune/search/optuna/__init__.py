"""Optuna as a searcher."""

from __future__ import annotations

from skate.tune.search.optuna.optuna_search import OptunaSearch

__all__ = ["OptunaSearch"]
