"""Runs one trial through the changes that another had in population-based training."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skate.tune import result as _keys
from skate.tune.schedulers.trial_scheduler import FIFOScheduler, TrialScheduler
from skate.tune.search.variant_generator import format_vars

if TYPE_CHECKING:
    from skate.tune.execution.tune_controller import TuneController
    from skate.tune.experiment.trial import Trial

__all__ = [
    "PopulationBasedTrainingReplay",
]

_logger = logging.getLogger(__name__)


class PopulationBasedTrainingReplay(FIFOScheduler):
    """Repeats the schedule of parameters that a trial of `PopulationBasedTraining` ended up with.

    Args:
        policy_file: A file "pbt_policy_<trial>.txt" from the experiment's directory.

    Raises:
        ValueError: there is no such file, or it is no such file.

    The search may have one trial only. It gets its parameters from the file; what its `param_space` says is replaced.
    """

    changes_parameters = True

    def __init__(self, policy_file: str) -> None:
        path = os.path.expanduser(policy_file)
        if not os.path.exists(path):
            raise ValueError(f"Policy file not found: {path}")
        self.policy_file = path
        self.config, self._policy = self._load(path)
        self.experiment_tag = f"replay_{Path(path).name}"
        self._trial: Trial | None = None
        self._current_step = 0
        self._num_perturbations = 0
        self._next = 0

    def _load(self, path: str) -> tuple[dict[str, Any], list[tuple[int, dict[str, Any]]]]:
        """The first parameters, and at which iteration they became which.

        A line says that a trial took over another's state. Read from the last: the trial had been the other one before,
        and so that one's changes count, up to then.
        """
        try:
            policies = [json.loads(line) for line in Path(path).read_text().splitlines()]
        except json.JSONDecodeError as error:
            raise ValueError(f"Could not read PBT policy file: {path}. {error}") from error
        schedule: list[tuple[int, dict[str, Any]]] = []
        tag = None
        first: dict[str, Any] = {}
        for old_tag, source_tag, _, source_step, old_config, new_config in reversed(policies):
            if tag is not None and old_tag != tag:
                break  # what came before was overwritten by this
            schedule.append((source_step, new_config))
            tag, first = source_tag, old_config
        return first, list(reversed(schedule))

    def on_trial_add(self, tune_controller: TuneController, trial: Trial) -> None:
        """Give the trial the first parameters.

        Raises:
            ValueError: there is another trial already, or neither it nor the file has parameters.
        """
        if self._trial is not None:
            raise ValueError(
                "More than one trial added to PBT replay run. This means the same schedule will be trained multiple times. "
                "Do you want to set `n_samples=1`?"
            )
        self._trial = trial
        if not self._policy:
            if not trial.config:
                raise ValueError(
                    f"No replay policy found in {self.policy_file}, and the trial has no parameters: pass a `param_space`, or "
                    "leave this scheduler out."
                )
            self.config = dict(trial.config)
        elif trial.config:
            _logger.warning(
                "The trial's parameters %s are replaced by those of %s.", trial.config, self.policy_file
            )
        trial.set_config(dict(self.config))
        trial.set_experiment_tag(self.experiment_tag)

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        """Change the parameters when it is time."""
        if _keys.TRAINING_ITERATION not in result:
            return TrialScheduler.CONTINUE
        self._current_step = step = result[_keys.TRAINING_ITERATION]
        if self._next >= len(self._policy) or step < self._policy[self._next][0]:
            return TrialScheduler.CONTINUE
        _, config = self._policy[self._next]
        self._next += 1
        saved = tune_controller.save_trial(trial)
        if trial.status != "RUNNING":  # it failed
            return TrialScheduler.NOOP
        tune_controller.pause_trial(trial, should_checkpoint=False)
        tag = format_vars({("config", name): value for name, value in config.items()})
        trial.exploit(dict(config), f"{self.experiment_tag}@perturbed[{tag}]", saved)
        self._num_perturbations += 1
        return TrialScheduler.NOOP

    def debug_string(self) -> str:
        """How far it has come."""
        return f"PopulationBasedTraining replay: Step {self._current_step}, perturb {self._num_perturbations}"
