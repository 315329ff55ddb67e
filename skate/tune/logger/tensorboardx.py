"""Each trial's results for TensorBoard."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

from skate.tune import result as _keys
from skate.tune.logger.logger import LoggerCallback
from skate.tune.utils.dictionaries import flatten_dict

if TYPE_CHECKING:
    from skate.tune.experiment.trial import Trial

__all__ = [
    "TBXLoggerCallback",
]

_logger = logging.getLogger(__name__)
_LEFT_OUT = {"config", "pid", "timestamp", _keys.TIME_TOTAL_S, _keys.TRAINING_ITERATION}


class TBXLoggerCallback(LoggerCallback):
    """Writes event files, with the parameters of each trial at its end. Needs tensorboardX.

    Raises:
        ImportError: tensorboardX is not installed.
    """

    VALID_HPARAMS: ClassVar[tuple[type, ...]] = (str, bool, int, float, list, type(None))

    def __init__(self) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ImportError('TensorBoard files need tensorboardX: pip install "tensorboardX"') from error
        self._make_writer = SummaryWriter
        self._writers: dict[str, Any] = {}
        self._last: dict[str, dict[str, Any]] = {}

    def log_trial_start(self, trial: Trial) -> None:
        """Open the trial's file."""
        if trial.trial_id in self._writers:
            self._writers[trial.trial_id].close()
        trial.init_local_path()
        self._writers[trial.trial_id] = self._make_writer(trial.local_path, flush_secs=30)
        self._last[trial.trial_id] = {}

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        """Write numbers, histograms, images and videos."""
        if trial.trial_id not in self._writers:
            self.log_trial_start(trial)
        step = result.get(_keys.TIMESTEPS_TOTAL) or result.get(_keys.TRAINING_ITERATION)
        plain = {key: value for key, value in result.items() if key not in _LEFT_OUT and value is not None}
        writer, scalars = self._writers[trial.trial_id], {}
        for name, value in flatten_dict(plain).items():
            full = f"ray/tune/{name}"
            if isinstance(value, bool):
                continue
            if isinstance(value, int | float) or getattr(value, "ndim", None) == 0:
                scalars[full] = value
                writer.add_scalar(full, value, global_step=step)
            else:
                self._add_other(writer, full, value, step)
        self._last[trial.trial_id] = scalars
        writer.flush()

    def _add_other(self, writer: Any, name: str, value: Any, step: Any) -> None:
        dimensions = getattr(value, "ndim", None)
        try:
            if dimensions == 5:
                writer.add_video(name, value, global_step=step, fps=20)
            elif dimensions == 4:
                writer.add_images(name, value, global_step=step)
            elif dimensions == 3:
                writer.add_image(name, value, global_step=step)
            elif (isinstance(value, list) and value) or (dimensions == 1 and getattr(value, "size", 0) > 0):
                writer.add_histogram(name, value, global_step=step)
        except (ValueError, TypeError):
            _logger.warning("TensorBoard can't show the metric %r: %s", name, type(value).__name__)

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """Write the parameters, and close the file."""
        writer = self._writers.pop(trial.trial_id, None)
        if writer is None:
            return
        if trial.evaluated_params and self._last[trial.trial_id]:
            self._write_parameters(writer, trial)
        writer.close()
        del self._last[trial.trial_id]

    def _write_parameters(self, writer: Any, trial: Trial) -> None:
        from tensorboardX.summary import hparams

        flat = flatten_dict(trial.evaluated_params)
        plain = {
            name: value if isinstance(value, self.VALID_HPARAMS) else str(value)
            for name, value in flat.items()
        }
        plain = {
            name: str(value) if isinstance(value, list | type(None)) else value
            for name, value in plain.items()
        }
        for summary in hparams(hparam_dict=plain, metric_dict=self._last[trial.trial_id]):
            writer.file_writer.add_summary(summary)
        writer.flush()

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Close what is open."""
        while self._writers:
            self._writers.popitem()[1].close()
