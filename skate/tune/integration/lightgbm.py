"""A callback for LightGBM."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.tune.integration._report import Names as _Names
from skate.tune.integration._report import choose_metrics as _choose_metrics
from skate.tune.integration._report import report_with as _report_with

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
from skate.tune.search.spaces import load as _load


class TuneReportCheckpointCallback:
    """Reports LightGBM's metrics, and its model as a checkpoint.

    Args:
        metrics: LightGBM's names of the metrics, such as "eval-binary_error"; or these by the names to report; None: all.
        filename: The model's file in the checkpoint.
        frequency: Rounds between two checkpoints; 0: none are made.
        checkpoint_at_end: Whether one is made at the end.
        results_postprocessing_fn: Called with the metrics; returns what is reported.
    """

    CHECKPOINT_NAME = "model.txt"
    order = 20
    before_iteration = False

    def __init__(
        self,
        metrics: _Names = None,
        filename: str = CHECKPOINT_NAME,
        frequency: int = 0,
        checkpoint_at_end: bool = True,
        results_postprocessing_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        self._metrics = metrics
        self._filename = filename
        self._frequency = frequency
        self._checkpoint_at_end = checkpoint_at_end
        self._results_postprocessing_fn = results_postprocessing_fn

    @classmethod
    def get_model(cls, checkpoint: Checkpoint, filename: str = CHECKPOINT_NAME) -> Any:
        """The model in a checkpoint.

        Args:
            checkpoint: The checkpoint.
            filename: The model's file in it.

        Returns:
            A LightGBM booster.
        """
        with checkpoint.as_directory() as directory:
            return _load("lightgbm", "lightgbm").Booster(model_file=os.path.join(directory, filename))

    def __call__(self, env: Any) -> None:
        """Report a round."""
        found = {f"{entry[0]}-{entry[1]}": entry[2] for entry in env.evaluation_result_list or ()}
        if self._results_postprocessing_fn is not None:
            found = self._results_postprocessing_fn(found)
        number = env.iteration + 1
        last = number == env.end_iteration
        due = (last and self._checkpoint_at_end) or (self._frequency > 0 and number % self._frequency == 0)
        _report_with(
            _choose_metrics(self._metrics, found),
            self._saver(env.model, due),
        )

    def _saver(self, model: Any, due: bool) -> Callable[[str], Any] | None:
        """What saves the model into a directory, if a checkpoint is due."""
        return (lambda place: model.save_model(os.path.join(place, self._filename))) if due else None


class TuneReportCallback(TuneReportCheckpointCallback):
    """Reports LightGBM's metrics, without checkpoints.

    Args:
        metrics: LightGBM's names of the metrics; or these by the names to report; None: all.
        results_postprocessing_fn: Called with the metrics; returns what is reported.
    """

    def __init__(
        self,
        metrics: _Names = None,
        results_postprocessing_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(
            metrics, frequency=0, checkpoint_at_end=False, results_postprocessing_fn=results_postprocessing_fn
        )


__all__ = ["TuneReportCallback", "TuneReportCheckpointCallback"]
