"""Weights & Biases: each trial a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skate.air import session as _session
from skate.tune.logger.logger import LoggerCallback as _LoggerCallback
from skate.tune.search.spaces import load as _load
from skate.tune.utils.dictionaries import flatten_dict as _flatten_dict

if TYPE_CHECKING:
    from skate.tune.experiment.trial import Trial

_OWN = {"done", "should_checkpoint", "config", "pid", "hostname", "node_ip", "date", "timestamp"}


class WandbLoggerCallback(_LoggerCallback):
    """Logs each trial as a run of a W&B project.

    Args:
        project: The project; default: $WANDB_PROJECT_NAME.
        group: The group of the runs; default: $WANDB_GROUP_NAME, or the trainable's name.
        api_key_file: A file with the API key.
        api_key: The API key; default: W&B's own ways to find it.
        excludes: Metrics and parameters that are not logged.
        log_config: Whether parameters are logged with each result.
        upload_checkpoints: Whether checkpoints are kept as artifacts.
        save_checkpoints: The older name of `upload_checkpoints`.
        upload_timeout: Accepted for Ray's programs.
        video_kwargs: Accepted for Ray's programs.
        image_kwargs: Accepted for Ray's programs.
        **kwargs: For `wandb.init`.

    Raises:
        ImportError: wandb is not installed.
        ValueError: no project is given.
    """

    def __init__(
        self,
        project: str | None = None,
        group: str | None = None,
        api_key_file: str | None = None,
        api_key: str | None = None,
        excludes: list[str] | None = None,
        log_config: bool = False,
        upload_checkpoints: bool = False,
        save_checkpoints: bool = False,
        upload_timeout: int = 1800,
        video_kwargs: dict[str, Any] | None = None,
        image_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._wandb = _load("wandb", "wandb")
        self.project = project or os.environ.get("WANDB_PROJECT_NAME")
        if not self.project:
            raise ValueError(
                "Please pass the project name as argument or through the WANDB_PROJECT_NAME environment variable."
            )
        self.group = group or os.environ.get("WANDB_GROUP_NAME")
        self._excludes = set(excludes or ())
        self._log_config = log_config
        self._upload = upload_checkpoints or save_checkpoints
        self._settings = kwargs
        self._runs: dict[str, Any] = {}
        _set_key(api_key, api_key_file)

    def log_trial_start(self, trial: Trial) -> None:
        """Begin a run, or go on with the trial's."""
        config = {key: value for key, value in trial.config.items() if key not in self._excludes}
        settings = {
            "id": trial.trial_id,
            "name": str(trial),
            "resume": "allow",
            "reinit": "create_new",
            "dir": trial.local_path,
            "group": self.group or trial.trainable_name,
            "project": self.project,
            "config": _plain(config, ()),
            **self._settings,
        }
        self._runs[trial.trial_id] = self._wandb.init(**settings)

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        """Log a result."""
        run = self._runs.get(trial.trial_id)
        if run is None:
            self.log_trial_start(trial)
            run = self._runs[trial.trial_id]
        hidden = self._excludes | (_OWN - {"config"} if self._log_config else _OWN)
        run.log(_plain({key: value for key, value in result.items() if key not in hidden}, self._excludes))

    def log_trial_save(self, trial: Trial) -> None:
        """Keep a checkpoint as an artifact, if that is wanted."""
        run = self._runs.get(trial.trial_id)
        if self._upload and run is not None and trial.checkpoint is not None:
            artifact = self._wandb.Artifact(name=f"checkpoint_{trial}", type="model")
            with trial.checkpoint.as_directory() as directory:
                artifact.add_dir(directory)
                run.log_artifact(artifact)

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """End the run."""
        run = self._runs.pop(trial.trial_id, None)
        if run is not None:
            run.finish(exit_code=int(failed))

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """End what has not been ended."""
        while self._runs:
            self._runs.popitem()[1].finish()


def setup_wandb(
    config: dict[str, Any] | None = None,
    api_key: str | None = None,
    api_key_file: str | None = None,
    rank_zero_only: bool = True,
    **kwargs: Any,
) -> Any:
    """Begin a W&B run inside of a trial or a training function.

    Args:
        config: Parameters to log.
        api_key: The API key; default: W&B's own ways to find it.
        api_key_file: A file with the API key.
        rank_zero_only: Whether only the first worker logs.
        **kwargs: For `wandb.init`.

    Returns:
        The run; None for workers that do not log.
    """
    session = _session.get_session()
    if rank_zero_only and session is not None and session.world_rank not in (0, None):
        return None
    wandb = _load("wandb", "wandb")
    _set_key(api_key, api_key_file)
    known = {}
    if session is not None:
        known = {
            "id": session.trial_id,
            "name": session.trial_name,
            "group": session.experiment_name,
            "resume": "allow",
        }
    project = os.environ.get("WANDB_PROJECT_NAME")
    return wandb.init(config=_plain(config or {}, ()), **{"project": project, **known, **kwargs})


def _set_key(api_key: str | None, api_key_file: str | None) -> None:
    if api_key_file:
        if api_key:
            raise ValueError("Both WandB `api_key_file` and `api_key` set: pass one of them.")
        api_key = Path(api_key_file).expanduser().read_text().strip()
    if api_key:
        os.environ["WANDB_API_KEY"] = api_key


def _plain(values: dict[str, Any], excludes: Sequence[str] | set[str]) -> dict[str, Any]:
    """Values that W&B takes; others as text."""
    flat = _flatten_dict(values)
    return {
        name: value
        if isinstance(value, int | float | str | bool | None) or hasattr(value, "shape")
        else str(value)
        for name, value in flat.items()
        if name not in excludes
    }


__all__ = ["WandbLoggerCallback", "setup_wandb"]
