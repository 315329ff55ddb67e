"""How a training run fails."""

from __future__ import annotations

from typing import Any

__all__ = [
    "ControllerError",
    "TrainingFailedError",
    "WorkerGroupError",
]


class TrainingFailedError(Exception):
    """A training run has failed, and its `FailureConfig` allows no further attempt."""


class WorkerGroupError(TrainingFailedError):
    """Workers have failed.

    Args:
        error_message: What happened, on which rank and line.
        worker_failures: What each failed worker raised, by its rank.
    """

    def __init__(self, error_message: str, worker_failures: dict[int, Exception]) -> None:
        super().__init__(error_message)
        self.error_message = error_message
        self.worker_failures = worker_failures

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.error_message, self.worker_failures)


class ControllerError(TrainingFailedError):
    """What happens around the workers has failed: starting them, a callback, keeping a checkpoint.

    Args:
        controller_failure: What was raised.
    """

    def __init__(self, controller_failure: Exception) -> None:
        super().__init__(
            f"Training failed due to controller error:\n{type(controller_failure).__name__}: {controller_failure}"
        )
        self.controller_failure = controller_failure
        self.with_traceback(controller_failure.__traceback__)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.controller_failure,)
