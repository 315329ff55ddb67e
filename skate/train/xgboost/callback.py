"""The callback for XGBoost."""

from __future__ import annotations

from typing import Any

from skate.train._boosting import saves_here as _saves_here
from skate.tune.integration.xgboost import TuneReportCheckpointCallback as _Shared

__all__ = [
    "RayTrainReportCallback",
]


class RayTrainReportCallback(_Shared):
    """Reports XGBoost's metrics of each round, and its model as a checkpoint, which rank 0 brings.

    Args:
        metrics: XGBoost's names of the metrics, such as "eval-logloss"; or these by the names to report; None: all.
        filename: The model's file in the checkpoint.
        frequency: Rounds between two checkpoints; 0: none are made.
        checkpoint_at_end: Whether one is made at the end.
        results_postprocessing_fn: Called with the metrics; returns what is reported.
    """

    def _report(self, model: Any, save: bool) -> None:
        super()._report(model, save and _saves_here())
