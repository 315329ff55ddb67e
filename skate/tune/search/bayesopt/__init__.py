"""The bayesian-optimization library as a searcher."""

from __future__ import annotations

from skate.tune.search.bayesopt.bayesopt_search import BayesOptSearch

__all__ = ["BayesOptSearch"]
