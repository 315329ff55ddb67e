"""Callbacks for PyTorch Lightning."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any

from skate.tune.integration._report import Names as _Names
from skate.tune.integration._report import choose_metrics as _choose_metrics
from skate.tune.integration._report import report_with as _report_with

_Base: Any = object
if importlib.util.find_spec("lightning") is not None:
    _Base = importlib.import_module("lightning.pytorch.callbacks").Callback
elif importlib.util.find_spec("pytorch_lightning") is not None:
    _Base = importlib.import_module("pytorch_lightning.callbacks").Callback


class TuneReportCheckpointCallback(_Base):  # type: ignore[misc]  # known at run time only
    """Reports Lightning's logged metrics, and the trainer's state as a checkpoint.

    Args:
        metrics: Lightning's names of the metrics; or these by the names to report; None: all that are logged.
        filename: The state's file in the checkpoint.
        save_checkpoints: Whether checkpoints are made.
        on: When it reports: the name of a hook such as "validation_end", or a list of several.

    Raises:
        ImportError: Lightning is not installed.
        ValueError: there is no such hook.
    """

    def __init__(
        self,
        metrics: _Names = None,
        filename: str = "checkpoint",
        save_checkpoints: bool = True,
        on: str | list[str] = "validation_end",
    ) -> None:
        if _Base is object:
            raise ImportError("this callback needs PyTorch Lightning: pip install lightning")
        hooks = [on] if isinstance(on, str) else list(on)
        for hook in hooks:
            name = hook if hook.startswith("on_") else f"on_{hook}"
            if not hasattr(_Base, name):
                raise ValueError(
                    f"Invalid trigger time selected: {hook!r}: Lightning's callbacks have no {name}."
                )
            setattr(self, name, self._handle)
        self._metrics = metrics
        self._filename = filename
        self._save_checkpoints = save_checkpoints

    def _handle(self, trainer: Any, *args: Any, **kwargs: Any) -> None:
        if trainer.sanity_checking:
            return
        logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
        metrics = _choose_metrics(self._metrics, logged)
        if not metrics:
            return
        _report_with(
            metrics,
            (lambda place: trainer.save_checkpoint(os.path.join(place, self._filename)))
            if self._save_checkpoints
            else None,
        )


class TuneReportCallback(TuneReportCheckpointCallback):
    """Reports Lightning's logged metrics, without checkpoints.

    Args:
        metrics: Lightning's names of the metrics; or these by the names to report; None: all that are logged.
        on: When it reports: the name of a hook, or a list of several.
    """

    def __init__(self, metrics: _Names = None, on: str | list[str] = "validation_end") -> None:
        super().__init__(metrics, save_checkpoints=False, on=on)


__all__ = ["TuneReportCallback", "TuneReportCheckpointCallback"]
