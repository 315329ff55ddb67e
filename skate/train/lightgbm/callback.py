"""The callback for LightGBM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skate.train._boosting import saves_here as _saves_here
from skate.tune.integration.lightgbm import TuneReportCheckpointCallback as _Shared

__all__ = [
    "RayTrainReportCallback",
]


class RayTrainReportCallback(_Shared):
    """Reports LightGBM's metrics of each round, and its model as a checkpoint, which rank 0 brings.

    Args:
        metrics: LightGBM's names of the metrics, such as "eval-binary_error"; or these by the names to report; None: all.
        filename: The model's file in the checkpoint.
        frequency: Rounds between two checkpoints; 0: none are made.
        checkpoint_at_end: Whether one is made at the end.
        results_postprocessing_fn: Called with the metrics; returns what is reported.
    """

    def _saver(self, model: Any, due: bool) -> Callable[[str], Any] | None:
        return super()._saver(model, due and _saves_here())
