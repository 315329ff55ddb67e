"""Validating checkpoints in tasks beside the training."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import skate
from skate.train.v2.api.reported_checkpoint import ReportedCheckpointStatus
from skate.train.v2.api.validation_config import ValidationConfig, ValidationTaskConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.air.checkpoint_manager import TrainingResult
    from skate.train._run.checkpoints import KeptCheckpoints

__all__ = [
    "Validations",
    "merged",
]

_logger = logging.getLogger(__name__)


@dataclass
class _Running:
    result: TrainingResult
    deadline: float | None


def merged(config: ValidationConfig, asked: bool | ValidationTaskConfig) -> ValidationTaskConfig:
    """What one validation is given: what the report says, and for the rest what the trainer says.

    Args:
        config: The trainer's.
        asked: The report's; True: nothing of its own.
    """
    general = config.task_config
    if isinstance(asked, bool):
        return general
    timeout = asked.timeout_s if asked.timeout_s is not None else general.timeout_s
    return ValidationTaskConfig(
        fn_kwargs={**(general.fn_kwargs or {}), **(asked.fn_kwargs or {})}, timeout_s=timeout
    )


class Validations:
    """The validations of a run. They outlive an attempt: a checkpoint stays what it is.

    Args:
        config: How checkpoints are validated; None: not at all.
        kept: The run's checkpoints, which take the metrics.
        clock: The time in seconds.
    """

    def __init__(
        self,
        config: ValidationConfig | None,
        kept: KeptCheckpoints,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._kept, self._clock = config, kept, clock
        self._running: dict[Any, _Running] = {}
        self._function: Any = None

    @property
    def refs(self) -> list[Any]:
        """The tasks that have not ended."""
        return list(self._running)

    @property
    def deadline(self) -> float | None:
        """When the next of them runs out of time."""
        return min(
            (each.deadline for each in self._running.values() if each.deadline is not None), default=None
        )

    def start(self, result: TrainingResult, asked: bool | ValidationTaskConfig) -> None:
        """Begin to validate a checkpoint.

        Args:
            result: The checkpoint with its metrics.
            asked: What the report says of it.
        """
        assert self._config is not None
        task = merged(self._config, asked)
        if self._function is None:
            options = self._config.ray_remote_kwargs
            self._function = skate.remote(_call).options(**options)
        ref = self._function.remote(self._config.fn, result.checkpoint, task.fn_kwargs or {})
        deadline = None if task.timeout_s is None else self._clock() + task.timeout_s
        self._running[ref] = _Running(result, deadline)

    def ended(self, ref: Any) -> None:
        """Take what a validation has found."""
        result = self._running.pop(ref).result
        try:
            metrics = skate.get(ref)
            if not isinstance(metrics, dict):
                raise TypeError(
                    f"the validation function must return a dictionary of metrics, not {type(metrics).__name__}."
                )
        except Exception as error:  # whatever the user's function raises: the training is not to end for it
            _logger.exception("The validation of %s has failed.", result.checkpoint, exc_info=error)
            self._kept.validated(result, {}, ReportedCheckpointStatus.VALIDATION_FAILED)
            return
        self._kept.validated(result, metrics, ReportedCheckpointStatus.VALIDATED)

    def expire(self) -> None:
        """End those that have had their time."""
        now = self._clock()
        for ref, running in list(self._running.items()):
            if running.deadline is not None and now >= running.deadline:
                del self._running[ref]
                skate.cancel(ref, force=True)
                _logger.warning("The validation of %s has run out of time.", running.result.checkpoint)
                self._kept.validated(running.result, {}, ReportedCheckpointStatus.VALIDATION_TIMEOUT)

    def finish(self) -> None:
        """Wait for all that still run."""
        while self._running:
            deadline = self.deadline
            timeout = None if deadline is None else max(0.0, deadline - self._clock())
            ready, _ = skate.wait(self.refs, num_returns=1, timeout=timeout)
            for ref in ready:
                self.ended(ref)
            self.expire()

    def cancel(self) -> None:
        """End all that still run: the run has failed."""
        for ref in self._running:
            skate.cancel(ref, force=True)
        self._running.clear()


def _call(function: Any, checkpoint: Any, options: dict[str, Any]) -> Any:
    return function(checkpoint, **options)
