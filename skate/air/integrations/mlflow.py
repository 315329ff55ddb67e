"""MLflow: each trial a run."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from skate.air import session as _session
from skate.tune.logger.logger import LoggerCallback as _LoggerCallback
from skate.tune.search.spaces import load as _load
from skate.tune.utils.dictionaries import flatten_dict as _flatten_dict

if TYPE_CHECKING:
    from skate.tune.experiment.trial import Trial

_logger = logging.getLogger(__name__)


class MLflowLoggerCallback(_LoggerCallback):
    """Logs each trial as a run of an MLflow experiment.

    Args:
        tracking_uri: Where MLflow keeps its runs; default: MLflow's own.
        registry_uri: Where it keeps its models.
        experiment_name: The experiment; default: $MLFLOW_EXPERIMENT_NAME, or the trial's.
        tags: Tags of each run.
        tracking_token: A token for the tracking server.
        save_artifact: Whether a trial's directory is kept as artifacts at its end.
        log_params_on_trial_end: Whether parameters are logged at a trial's end rather than its start.

    Raises:
        ImportError: MLflow is not installed.
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        *,
        registry_uri: str | None = None,
        experiment_name: str | None = None,
        tags: dict[str, Any] | None = None,
        tracking_token: str | None = None,
        save_artifact: bool = False,
        log_params_on_trial_end: bool = False,
    ) -> None:
        self._mlflow = _load("mlflow", "mlflow")
        if tracking_token:
            os.environ["MLFLOW_TRACKING_TOKEN"] = tracking_token
        self._client = self._mlflow.MlflowClient(tracking_uri=tracking_uri, registry_uri=registry_uri)
        self._experiment_name = experiment_name or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        self._tags = dict(tags or {})
        self._save_artifact = save_artifact
        self._params_at_end = log_params_on_trial_end
        self._runs: dict[str, str] = {}

    def log_trial_start(self, trial: Trial) -> None:
        """Begin a run, unless the trial goes on with one."""
        if trial.trial_id not in self._runs:
            name = self._experiment_name or trial.experiment_dir_name or "skate"
            found = self._client.get_experiment_by_name(name)
            experiment = found.experiment_id if found is not None else self._client.create_experiment(name)
            tags = {**self._tags, "trial_name": str(trial), "mlflow.runName": str(trial)}
            self._runs[trial.trial_id] = self._client.create_run(experiment, tags=tags).info.run_id
        if not self._params_at_end:
            self._log_parameters(trial)

    def _log_parameters(self, trial: Trial) -> None:
        for name, value in _flatten_dict(trial.config).items():
            self._client.log_param(self._runs[trial.trial_id], name, value)

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        """Log the numbers of a result."""
        step = result.get("timesteps_total") or result["training_iteration"]
        plain = {key: value for key, value in result.items() if key != "config"}
        for name, value in _flatten_dict(plain).items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self._client.log_metric(self._runs[trial.trial_id], name, value, step=int(step))

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """End the run."""
        run = self._runs.get(trial.trial_id)
        if run is None:
            return
        if self._params_at_end:
            self._log_parameters(trial)
        if self._save_artifact and trial.local_path is not None:
            self._client.log_artifacts(run, trial.local_path)
        self._client.set_terminated(run, status="FAILED" if failed else "FINISHED")


def setup_mlflow(
    config: dict[str, Any] | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    experiment_id: str | None = None,
    experiment_name: str | None = None,
    tracking_token: str | None = None,
    artifact_location: str | None = None,
    run_name: str | None = None,
    create_experiment_if_not_exists: bool = False,
    tags: dict[str, Any] | None = None,
    rank_zero_only: bool = True,
) -> Any:
    """Begin an MLflow run inside of a trial or a training function.

    Args:
        config: Parameters to log.
        tracking_uri: Where MLflow keeps its runs.
        registry_uri: Where it keeps its models.
        experiment_id: The experiment.
        experiment_name: The experiment, by name.
        tracking_token: A token for the tracking server.
        artifact_location: Where a new experiment keeps its artifacts.
        run_name: The run's name; default: the trial's.
        create_experiment_if_not_exists: Whether the experiment is made if there is none.
        tags: Tags of the run.
        rank_zero_only: Whether only the first worker logs; for the others MLflow's functions do nothing.

    Returns:
        The module `mlflow`, or what stands for it and does nothing.

    Raises:
        ValueError: there is no such experiment.
    """
    session = _session.get_session()
    if rank_zero_only and session is not None and session.world_rank not in (0, None):
        return _Nothing()
    mlflow = _load("mlflow", "mlflow")
    if tracking_token:
        os.environ["MLFLOW_TRACKING_TOKEN"] = tracking_token
    if tracking_uri:
        mlflow.set_tracking_uri(tracking_uri)
    if registry_uri:
        mlflow.set_registry_uri(registry_uri)
    name = experiment_name or (session.experiment_name if session and not experiment_id else None)
    if experiment_id is None and name is not None:
        found = mlflow.get_experiment_by_name(name)
        if found is not None:
            experiment_id = found.experiment_id
        elif create_experiment_if_not_exists or experiment_name is None:
            experiment_id = mlflow.create_experiment(name, artifact_location=artifact_location)
        else:
            raise ValueError(
                f"there is no MLflow experiment {name!r}: pass create_experiment_if_not_exists=True to make it."
            )
    mlflow.start_run(
        experiment_id=experiment_id, run_name=run_name or (session.trial_name if session else None), tags=tags
    )
    mlflow.log_params(_flatten_dict(config or {}))
    return mlflow


class _Nothing:
    """Stands for MLflow where nothing is to be logged."""

    def __getattr__(self, name: str) -> Any:
        return _Nothing()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return None


__all__ = ["MLflowLoggerCallback", "setup_mlflow"]
