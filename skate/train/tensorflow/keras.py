"""A callback for Keras."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from typing import Any

from skate.air._checkpoint import Checkpoint as _Checkpoint
from skate.air.session import get_session as _get_session
from skate.air.session import report as _report
from skate.train.tensorflow.tensorflow_checkpoint import TensorflowCheckpoint as _TensorflowCheckpoint
from skate.tune.integration._report import Names as _Names
from skate.tune.integration._report import choose_metrics as _choose_metrics

__all__ = [
    "ReportCheckpointCallback",
]

_Base: Any = object
if importlib.util.find_spec("tensorflow") is not None:
    _Base = importlib.import_module("tensorflow.keras.callbacks").Callback

_HOOKS = frozenset(
    f"{stage}_{moment}"
    for stage in ("epoch", "train", "test", "predict", "train_batch", "test_batch", "predict_batch")
    for moment in ("begin", "end")
)


class ReportCheckpointCallback(_Base):  # type: ignore[misc]  # known at run time only
    """Reports Keras' logs, and the model as a checkpoint, which rank 0 brings.

    Args:
        checkpoint_on: When a checkpoint is made: the name of a hook such as "epoch_end", or a list of several.
        report_metrics_on: When metrics are reported: the same.
        metrics: Keras' names of the metrics; or these by the names to report; None: all.

    Raises:
        ImportError: TensorFlow is not installed.
        ValueError: there is no such hook.
    """

    def __init__(
        self,
        checkpoint_on: str | list[str] = "epoch_end",
        report_metrics_on: str | list[str] = "epoch_end",
        metrics: _Names = None,
    ) -> None:
        if _Base is object:
            raise ImportError("ReportCheckpointCallback needs TensorFlow: pip install tensorflow")
        super().__init__()
        self._saves = _hooks(checkpoint_on)
        self._reports = _hooks(report_metrics_on)
        self._metrics = metrics
        for hook in self._saves | self._reports:
            setattr(self, f"on_{hook}", self._handler(hook))

    def _handler(self, hook: str) -> Any:
        def handle(*args: Any, **kwargs: Any) -> None:
            logs = kwargs.get("logs", args[-1] if args and not isinstance(args[-1], int) else None) or {}
            metrics = _choose_metrics(self._metrics, logs) if hook in self._reports else {}
            self._report({name: _plain(value) for name, value in metrics.items()}, hook in self._saves)

        return handle

    def _report(self, metrics: dict[str, Any], save: bool) -> None:
        session = _get_session()
        if not save or (session is not None and session.world_rank > 0):
            # With MultiWorkerMirroredStrategy every worker takes part in saving; only rank 0's copy is kept.
            if save:
                shutil.rmtree(self._saved().path, ignore_errors=True)
            _report(metrics)
            return
        checkpoint = self._saved()
        try:
            _report(metrics, checkpoint=_Checkpoint.from_directory(checkpoint.path))
        finally:
            shutil.rmtree(checkpoint.path, ignore_errors=True)

    def _saved(self) -> _TensorflowCheckpoint:
        return _TensorflowCheckpoint.from_model(self.model)


def _hooks(names: str | list[str]) -> set[str]:
    found = {names} if isinstance(names, str) else set(names)
    for name in found - _HOOKS:
        raise ValueError(f"Invalid trigger time selected: {name!r}. Keras has {', '.join(sorted(_HOOKS))}.")
    return found


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
