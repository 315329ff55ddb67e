"""A callback for XGBoost."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.tune.integration._report import Names as _Names
from skate.tune.integration._report import choose_metrics as _choose_metrics
from skate.tune.integration._report import report_with as _report_with
from skate.tune.search.spaces import load as _load

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint

_Base: Any = object
if importlib.util.find_spec("xgboost") is not None:
    _Base = importlib.import_module("xgboost.callback").TrainingCallback


class TuneReportCheckpointCallback(_Base):  # type: ignore[misc]  # known at run time only
    """Reports XGBoost's metrics, and its model as a checkpoint.

    Args:
        metrics: XGBoost's names of the metrics, such as "eval-logloss"; or these by the names to report; None: all.
        filename: The model's file in the checkpoint.
        frequency: Rounds between two checkpoints; 0: none are made.
        checkpoint_at_end: Whether one is made at the end.
        results_postprocessing_fn: Called with the metrics; returns what is reported.

    Raises:
        ImportError: XGBoost is not installed.
    """

    CHECKPOINT_NAME = "model.ubj"

    def __init__(
        self,
        metrics: _Names = None,
        filename: str = CHECKPOINT_NAME,
        frequency: int = 0,
        checkpoint_at_end: bool = True,
        results_postprocessing_fn: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        _load("xgboost", "xgboost")
        self._metrics = metrics
        self._filename = filename
        self._frequency = frequency
        self._checkpoint_at_end = checkpoint_at_end
        self._results_postprocessing_fn = results_postprocessing_fn
        self._evals_log: Any = None
        self._last_reported = -1
        self._saved_at = -1

    @classmethod
    def get_model(cls, checkpoint: Checkpoint, filename: str = CHECKPOINT_NAME) -> Any:
        """The model in a checkpoint.

        Args:
            checkpoint: The checkpoint.
            filename: The model's file in it.

        Returns:
            An XGBoost booster.
        """
        booster = _load("xgboost", "xgboost").Booster()
        with checkpoint.as_directory() as directory:
            booster.load_model(os.path.join(directory, filename))
        return booster

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        """Report a round."""
        self._evals_log = evals_log
        due = self._frequency > 0 and (epoch + 1) % self._frequency == 0
        self._last_reported = epoch
        self._report(model, save=due)
        if due:
            self._saved_at = epoch
        return False

    def after_training(self, model: Any) -> Any:
        """Report the end with a checkpoint, if one is due."""
        if self._checkpoint_at_end and self._saved_at != self._last_reported and self._evals_log is not None:
            self._report(model, save=True)
        return model

    def _report(self, model: Any, save: bool) -> None:
        found: dict[str, Any] = OrderedDict()
        for data, metrics in self._evals_log.items():
            for name, values in metrics.items():
                last = values[-1]
                found[f"{data}-{name}"] = last[0] if isinstance(last, tuple) else last
        if self._results_postprocessing_fn is not None:
            found = self._results_postprocessing_fn(found)
        _report_with(
            _choose_metrics(self._metrics, found),
            (lambda place: model.save_model(os.path.join(place, self._filename))) if save else None,
        )


class TuneReportCallback(TuneReportCheckpointCallback):
    """Reports XGBoost's metrics, without checkpoints.

    Args:
        metrics: XGBoost's names of the metrics; or these by the names to report; None: all.
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
