"""Aim: each trial a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.tune.logger.logger import LoggerCallback as _LoggerCallback
from skate.tune.search.spaces import load as _load
from skate.tune.utils.dictionaries import flatten_dict as _flatten_dict

if TYPE_CHECKING:
    from skate.tune.experiment.trial import Trial

_LEFT_OUT = {"config", "pid", "timestamp", "time_total_s", "training_iteration"}


class AimLoggerCallback(_LoggerCallback):
    """Logs each trial as a run of Aim's.

    Args:
        repo: Aim's repository; default: the experiment's directory.
        experiment_name: The experiment; default: the one of the search.
        metrics: Metrics to log; default: all.
        **aim_run_kwargs: For Aim's `Run`.

    Raises:
        ImportError: Aim is not installed.
    """

    def __init__(
        self,
        repo: Any = None,
        experiment_name: str | None = None,
        metrics: list[str] | None = None,
        **aim_run_kwargs: Any,
    ) -> None:
        self._aim = _load("aim.sdk", "aim")
        self._repo = repo
        self._experiment_name = experiment_name
        self._metrics = metrics
        self._settings = aim_run_kwargs
        self._runs: dict[str, Any] = {}

    def log_trial_start(self, trial: Trial) -> None:
        """Begin a run."""
        if trial.trial_id in self._runs:
            self._runs[trial.trial_id].close()
        run = self._aim.Run(
            repo=self._repo or trial.local_experiment_path,
            experiment=self._experiment_name or trial.experiment_dir_name,
            **self._settings,
        )
        run["trial_id"] = trial.trial_id
        run["trial_log_dir"] = trial.local_path
        run["hparams"] = dict(_flatten_dict(trial.evaluated_params).items())
        self._runs[trial.trial_id] = run

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        """Log the numbers of a result."""
        run, step = self._runs[trial.trial_id], result.get("timesteps_total") or result["training_iteration"]
        flat = _flatten_dict({key: value for key, value in result.items() if key not in _LEFT_OUT})
        for name, value in flat.items():
            wanted = self._metrics is None or name in self._metrics
            if wanted and isinstance(value, int | float) and not isinstance(value, bool):
                run.track(value=float(value), name=name, step=step)

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """End the run."""
        run = self._runs.pop(trial.trial_id, None)
        if run is not None:
            run.close()


__all__ = ["AimLoggerCallback"]
