"""Each trial's parameters and results as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import cloudpickle

from skate.tune import result as _keys
from skate.tune.logger.logger import JsonEncoder, LoggerCallback

if TYPE_CHECKING:
    from skate.tune.experiment.trial import Trial

__all__ = [
    "JsonLoggerCallback",
]

_encoder = JsonEncoder()


class JsonLoggerCallback(LoggerCallback):
    """Writes params.json and params.pkl at a trial's start, and a line of result.json for each result."""

    def __init__(self) -> None:
        self._files: dict[str, IO[str]] = {}

    def log_trial_start(self, trial: Trial) -> None:
        """Write the parameters; go on with the results of an earlier run."""
        self.update_config(trial, trial.config)
        if trial.trial_id not in self._files:
            trial.init_local_path()
            assert trial.local_path is not None
            path = os.path.join(trial.local_path, _keys.EXPR_RESULT_FILE)
            self._files[trial.trial_id] = open(path, "a", encoding="utf-8")  # noqa: SIM115 - closed at the trial's end

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        """Write a line."""
        if trial.trial_id not in self._files:
            self.log_trial_start(trial)
        file = self._files[trial.trial_id]
        file.write(_encoder.encode(result) + "\n")
        file.flush()

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """Close the file."""
        file = self._files.pop(trial.trial_id, None)
        if file is not None:
            file.close()

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Close what is open."""
        while self._files:
            self._files.popitem()[1].close()

    def update_config(self, trial: Trial, config: dict[str, Any]) -> None:
        """Write a trial's parameters, in place of earlier ones.

        Args:
            trial: The trial.
            config: The parameters.
        """
        trial.init_local_path()
        assert trial.local_path is not None
        text = json.dumps(config, indent=2, sort_keys=True, cls=JsonEncoder, skipkeys=True)
        Path(trial.local_path, _keys.EXPR_PARAM_FILE).write_text(text, encoding="utf-8")
        Path(trial.local_path, _keys.EXPR_PARAM_PICKLE_FILE).write_bytes(cloudpickle.dumps(config))
