"""A look back at an experiment."""

from __future__ import annotations

from skate.tune.analysis.experiment_analysis import ExperimentAnalysis

__all__ = ["ExperimentAnalysis"]
