"""Comet: each trial an experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.tune.logger.logger import LoggerCallback as _LoggerCallback
from skate.tune.search.spaces import load as _load
from skate.tune.utils.dictionaries import flatten_dict as _flatten_dict

if TYPE_CHECKING:
    from skate.tune.experiment.trial import Trial

_SYSTEM = {"node_ip", "hostname", "pid", "date"}
_OTHER = {"trial_id", "experiment_tag"}
_LEFT_OUT = {"done", "should_checkpoint", "config"}


class CometLoggerCallback(_LoggerCallback):
    """Logs each trial as an experiment of Comet's.

    Args:
        online: Whether it is sent at once; if not, it is kept on the disk.
        tags: Tags of each experiment.
        save_checkpoints: Whether checkpoints are kept as artifacts.
        **experiment_kwargs: For Comet's `Experiment`.

    Raises:
        ImportError: comet-ml is not installed.
    """

    def __init__(
        self,
        online: bool = True,
        tags: list[str] | None = None,
        save_checkpoints: bool = False,
        **experiment_kwargs: Any,
    ) -> None:
        self._comet = _load("comet_ml", "comet-ml")
        self.online = online
        self.tags = tags
        self.save_checkpoints = save_checkpoints
        self.experiment_kwargs = experiment_kwargs
        self._experiments: dict[str, Any] = {}

    def log_trial_start(self, trial: Trial) -> None:
        """Begin an experiment, unless the trial goes on with one."""
        if trial.trial_id not in self._experiments:
            kind = self._comet.Experiment if self.online else self._comet.OfflineExperiment
            experiment = self._experiments[trial.trial_id] = kind(**self.experiment_kwargs)
            if self.tags:
                experiment.add_tags(self.tags)
            experiment.set_name(str(trial))
            self._comet.config.set_global_experiment(None)  # several run side by side
        self._experiments[trial.trial_id].log_parameters(_flatten_dict({"config": trial.config}))

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        """Log a result."""
        if trial.trial_id not in self._experiments:
            self.log_trial_start(trial)
        experiment, step = self._experiments[trial.trial_id], result["training_iteration"]
        flat = _flatten_dict({key: value for key, value in result.items() if key not in _LEFT_OUT})
        for name, value in flat.items():
            if name in _OTHER:
                experiment.log_other(name, value)
            elif name in _SYSTEM:
                experiment.log_system_info(name, value)
            else:
                experiment.log_metric(name, value, step=step)

    def log_trial_save(self, trial: Trial) -> None:
        """Keep a checkpoint as an artifact, if that is wanted."""
        if self.save_checkpoints and trial.checkpoint is not None and trial.trial_id in self._experiments:
            artifact = self._comet.Artifact(name=f"checkpoint_{trial}", artifact_type="model")
            with trial.checkpoint.as_directory() as directory:
                artifact.add(directory)
                self._experiments[trial.trial_id].log_artifact(artifact)

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """End the experiment."""
        experiment = self._experiments.pop(trial.trial_id, None)
        if experiment is not None:
            experiment.end()

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """End what has not been ended."""
        while self._experiments:
            self._experiments.popitem()[1].end()


__all__ = ["CometLoggerCallback"]
