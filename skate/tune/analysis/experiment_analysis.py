"""A look back at an experiment: its trials, their results, and the best of them."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any

from skate.air.result import look_up, read_progress, read_rows
from skate.air.storage import resolve
from skate.tune import result as _keys
from skate.tune.execution.experiment_state import load_trials
from skate.tune.experiment.storage import ExperimentStorage
from skate.tune.utils.dictionaries import flatten_dict

if TYPE_CHECKING:
    import pandas as pd

    from skate.air._checkpoint import Checkpoint
    from skate.tune.experiment.trial import Trial

__all__ = [
    "ExperimentAnalysis",
]

_SCOPES = ("all", "last", "avg", "last-5-avg", "last-10-avg")


class ExperimentAnalysis:
    """A look back at an experiment.

    Args:
        experiment_checkpoint_path: The experiment's directory, or its URI, or the state file in it.
        storage_filesystem: The file system on which it lies; default: found from the path.
        trials: The trials, if they are at hand; default: read from the directory.
        default_metric: The metric by which trials are compared when none is named.
        default_mode: "min" or "max".

    Raises:
        ValueError: there is no experiment, or the mode is neither.
    """

    def __init__(
        self,
        experiment_checkpoint_path: str | os.PathLike[str],
        *,
        storage_filesystem: Any = None,
        trials: list[Trial] | None = None,
        default_metric: str | None = None,
        default_mode: str | None = None,
    ) -> None:
        path = os.fspath(experiment_checkpoint_path)
        if path.endswith(".json"):
            path = os.path.dirname(path)
        if default_mode is not None and default_mode not in ("min", "max"):
            raise ValueError("`default_mode` has to be None or one of [min, max]")
        if default_metric is None and default_mode is not None:
            default_metric = _keys.DEFAULT_METRIC
        self.default_metric = default_metric
        self.default_mode = default_mode
        self._store, self._path = resolve(path, storage_filesystem)
        self._filesystem = storage_filesystem
        if trials is None:
            parent, name = os.path.split(self._path.rstrip("/"))
            filesystem = None if self._store.is_local else self._store.filesystem
            try:
                trials, _ = load_trials(ExperimentStorage(parent, name, filesystem), stub=True)
            except FileNotFoundError as error:
                raise ValueError(
                    f"No experiment snapshot file of form 'experiment_state-*.json' was found at: {path!r}. It should be the "
                    "`storage_path` and the `name` of a run, as ResultGrid.experiment_path gives it."
                ) from error
        self.trials = trials
        self._frames: dict[str, pd.DataFrame] | None = None

    @property
    def experiment_path(self) -> str:
        """The experiment's directory on its file system."""
        return self._path

    @property
    def filesystem(self) -> Any:
        """The pyarrow file system."""
        return self._store.filesystem

    # -- results -----------------------------------------

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """The last result of each trial, by its id."""
        return {trial.trial_id: trial.last_result for trial in self.trials}

    @property
    def results_df(self) -> pd.DataFrame:
        """The last result of each trial, one a row."""
        import pandas as pd

        rows = [flatten_dict(trial.last_result) for trial in self.trials]
        return pd.DataFrame.from_records(rows, index="trial_id")

    @property
    def trial_dataframes(self) -> dict[str, pd.DataFrame]:
        """All results of each trial, by its id."""
        if self._frames is None:
            self._frames = {}
            for trial in self.trials:
                frame = self.trial_dataframe(trial)
                if frame is not None:
                    self._frames[trial.trial_id] = frame
        return self._frames

    def trial_dataframe(self, trial: Trial) -> pd.DataFrame | None:
        """All results of a trial, one a row; None if it has none."""
        return read_progress(self._store, trial.path) if trial.path else None

    def dataframe(self, metric: str | None = None, mode: str | None = None) -> pd.DataFrame:
        """One result of each trial, one a row.

        Args:
            metric: Take the result in which this metric was best; default: the last result.
            mode: "min" or "max"; without it the last result is taken.

        Returns:
            The table, with the parameters in columns "config/…" and the directory in "logdir".

        Raises:
            ValueError: the mode is neither.
        """
        import pandas as pd

        if mode is not None and mode not in ("min", "max"):
            raise ValueError("If set, `mode` has to be one of [min, max]")
        rows = []
        for trial in self.trials:
            row = self._row_of(trial, metric, mode)
            if row is not None:
                rows.append({**row, **_columns(trial.config, "config"), "logdir": trial.path})
        return pd.DataFrame(rows)

    def _row_of(self, trial: Trial, metric: str | None, mode: str | None) -> dict[str, Any] | None:
        found = trial.last_result if trial.has_reported_at_least_once else None
        if metric is not None and mode is not None:
            results = [row for row in self._rows(trial) if _usable(look_up(row, metric))]
            best = max if mode == "max" else min
            found = best(results, key=lambda row: look_up(row, metric)) if results else found
        if found is None:
            return None
        plain = {key: value for key, value in found.items() if key not in ("config", _keys.EXPERIMENT_TAG)}
        return flatten_dict(plain)

    def _rows(self, trial: Trial) -> list[dict[str, Any]]:
        return read_rows(self._store, trial.path) if trial.path else []

    def get_all_configs(self, prefix: bool = False) -> dict[str, dict[str, Any]]:
        """The parameters of each trial, by its id.

        Args:
            prefix: Whether their names begin with "config/".
        """
        if not prefix:
            return {trial.trial_id: trial.config for trial in self.trials}
        return {trial.trial_id: flatten_dict({"config": trial.config}) for trial in self.trials}

    # -- the best ----------------------------------------

    @property
    def best_trial(self) -> Trial:
        """The best trial by its last result.

        Raises:
            ValueError: no metric and mode have been given, or no trial reported the metric.
        """
        self._need_defaults("best_trial")
        found = self.get_best_trial()
        if found is None:
            raise ValueError(f"no trial has reported the metric {self.default_metric!r}. {self._seen()}")
        return found

    @property
    def best_config(self) -> dict[str, Any]:
        """The parameters of the best trial."""
        return self.best_trial.config

    @property
    def best_result(self) -> dict[str, Any]:
        """The last result of the best trial."""
        return self.best_trial.last_result

    @property
    def best_checkpoint(self) -> Checkpoint | None:
        """The best checkpoint of the best trial; None if it has none."""
        return self.get_best_checkpoint(self.best_trial)

    @property
    def best_dataframe(self) -> pd.DataFrame:
        """All results of the best trial, one a row."""
        return self.trial_dataframes[self.best_trial.trial_id]

    @property
    def best_result_df(self) -> pd.DataFrame:
        """The last result of the best trial, as a table of one row."""
        import pandas as pd

        return pd.DataFrame.from_records([flatten_dict(self.best_result)], index="trial_id")

    def get_best_trial(
        self,
        metric: str | None = None,
        mode: str | None = None,
        scope: str = "last",
        filter_nan_and_inf: bool = True,
    ) -> Trial | None:
        """The best trial.

        Args:
            metric: The metric to compare by; default: the experiment's.
            mode: "min" or "max"; default: the experiment's.
            scope: Which of a trial's results count: "last", the best of "all", their "avg", "last-5-avg" or "last-10-avg".
            filter_nan_and_inf: Leave out trials whose metric is NaN or infinite.

        Returns:
            The trial, or None if none has reported the metric.

        Raises:
            ValueError: an argument is wrong, or missing and has no default.
        """
        metric, mode = self._metric(metric), self._mode(mode)
        if scope not in _SCOPES:
            raise ValueError(
                f"ExperimentAnalysis: attempting to get best trial for metric {metric} for scope {scope} not in "
                f"{json.dumps(_SCOPES)}."
            )
        best: tuple[float, Trial] | None = None
        for trial in self.trials:
            value = self._score(trial, metric, mode, scope)
            if value is None or (filter_nan_and_inf and not math.isfinite(value)):
                continue
            if best is None or (value > best[0] if mode == "max" else value < best[0]):
                best = (value, trial)
        return best[1] if best else None

    def _score(self, trial: Trial, metric: str, mode: str, scope: str) -> float | None:
        if scope == "last":
            return _number(look_up(trial.last_result, metric))
        known = trial.metric_analysis.get(metric)
        if known is None:
            return self._score_from_rows(trial, metric, mode, scope)
        return float(known[mode if scope == "all" else scope])

    def _score_from_rows(self, trial: Trial, metric: str, mode: str, scope: str) -> float | None:
        """The same for a trial that ran in an earlier process."""
        values = [value for row in self._rows(trial) if (value := _number(look_up(row, metric))) is not None]
        if not values:
            return None
        if scope == "all":
            return max(values) if mode == "max" else min(values)
        recent = values if scope == "avg" else values[-int(scope.split("-")[1]) :]
        return sum(recent) / len(recent)

    def get_best_config(
        self, metric: str | None = None, mode: str | None = None, scope: str = "last"
    ) -> dict[str, Any] | None:
        """The parameters of the best trial; None if none has reported the metric."""
        best = self.get_best_trial(metric, mode, scope)
        return best.config if best else None

    def get_best_checkpoint(
        self, trial: Trial, metric: str | None = None, mode: str | None = None
    ) -> Checkpoint | None:
        """The best checkpoint of a trial.

        Args:
            trial: The trial.
            metric: The metric to compare by; default: the experiment's.
            mode: "min" or "max"; default: the experiment's.

        Returns:
            The checkpoint, or None if the trial has none.
        """
        metric, mode = self._metric(metric), self._mode(mode)
        found = [
            (value, saved.checkpoint)
            for saved in trial.checkpoints.best_and_newest
            if (value := _number(look_up(saved.metrics, metric))) is not None and math.isfinite(value)
        ]
        if not found:
            return None
        best = max if mode == "max" else min
        return best(found, key=lambda pair: pair[0])[1]

    def get_last_checkpoint(
        self, trial: Trial | None = None, metric: str = "training_iteration", mode: str = "max"
    ) -> Checkpoint | None:
        """The newest checkpoint of a trial.

        Args:
            trial: The trial; default: the best by `metric` and `mode`.
            metric: The metric to choose the trial by.
            mode: "min" or "max".

        Returns:
            The checkpoint, or None if there is none.
        """
        trial = trial or self.get_best_trial(metric, mode)
        return self.get_best_checkpoint(trial, "training_iteration", "max") if trial else None

    # -- defaults ----------------------------------------

    def _metric(self, metric: str | None) -> str:
        if not metric and not self.default_metric:
            raise ValueError(
                "No `metric` has been passed and  `default_metric` has not been set. Please specify the `metric` parameter."
            )
        return metric or self.default_metric or ""

    def _mode(self, mode: str | None) -> str:
        if not mode and not self.default_mode:
            raise ValueError(
                "No `mode` has been passed and  `default_mode` has not been set. Please specify the `mode` parameter."
            )
        if mode and mode not in ("min", "max"):
            raise ValueError("If set, `mode` has to be one of [min, max]")
        return mode or self.default_mode or ""

    def _need_defaults(self, name: str) -> None:
        if not self.default_metric or not self.default_mode:
            raise ValueError(
                f"To fetch the `{name}`, pass a `metric` and `mode` parameter to `tune.run()`. Alternatively, use the "
                "`get_best_trial(metric, mode)` method to set the metric and mode explicitly."
            )

    def _seen(self) -> str:
        names: set[str] = set()
        for trial in self.trials:
            names.update(flatten_dict({k: v for k, v in trial.last_result.items() if k != "config"}))
        return f"Reported were {sorted(names)}."


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _columns(config: dict[Any, Any], prefix: str) -> dict[str, Any]:
    """A configuration as columns, in its own order."""
    columns: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}/{key}"
        columns.update(_columns(value, name) if isinstance(value, dict) and value else {name: value})
    return columns


def _usable(value: Any) -> bool:
    number = _number(value)
    return number is not None and not math.isnan(number)
