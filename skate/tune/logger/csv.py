"""Each trial's results as a table."""

from __future__ import annotations

import csv
import os
from typing import IO, TYPE_CHECKING, Any

from skate.tune import result as _keys
from skate.tune.logger.logger import LoggerCallback
from skate.tune.utils.dictionaries import flatten_dict

if TYPE_CHECKING:
    from skate.tune.experiment.trial import Trial

__all__ = [
    "CSVLoggerCallback",
]


class CSVLoggerCallback(LoggerCallback):
    """Writes a row of progress.csv for each result. The first result says which columns there are."""

    def __init__(self) -> None:
        self._files: dict[str, IO[str]] = {}
        self._writers: dict[str, csv.DictWriter[str]] = {}

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        """Write a row."""
        row = {key: value for key, value in result.items() if key != _keys.CONFIG_PREFIX}
        row = flatten_dict(row)
        if trial.trial_id not in self._writers:
            self._open(trial, list(row))
        writer, file = self._writers[trial.trial_id], self._files[trial.trial_id]
        known = set(writer.fieldnames)
        writer.writerow({key: value for key, value in row.items() if key in known})
        file.flush()

    def _open(self, trial: Trial, columns: list[str]) -> None:
        trial.init_local_path()
        assert trial.local_path is not None
        path = os.path.join(trial.local_path, _keys.EXPR_PROGRESS_FILE)
        header = _header(path)
        file = open(path, "a", newline="", encoding="utf-8")  # noqa: SIM115 - closed at the trial's end
        self._files[trial.trial_id] = file
        self._writers[trial.trial_id] = writer = csv.DictWriter(file, header or columns, lineterminator="\n")
        if header is None:
            writer.writeheader()

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """Close the file."""
        self._writers.pop(trial.trial_id, None)
        file = self._files.pop(trial.trial_id, None)
        if file is not None:
            file.close()

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Close what is open."""
        self._writers.clear()
        while self._files:
            self._files.popitem()[1].close()


def _header(path: str) -> list[str] | None:
    """The columns of a file that is there already."""
    if not os.path.exists(path) or not os.path.getsize(path):
        return None
    with open(path, newline="", encoding="utf-8") as file:
        return next(csv.reader(file))
