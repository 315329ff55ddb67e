"""How a training run fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.train.v2._internal.exceptions import RayTrainError as _RayTrainError

if TYPE_CHECKING:
    from skate.train.v2.api.preemption import PreemptionInfo

__all__ = [
    "ControllerError",
    "NCCLHangError",
    "PreemptionError",
    "TrainingFailedError",
    "WorkerGroupError",
]


class TrainingFailedError(_RayTrainError):
    """A training run has failed, and its `FailureConfig` allows no further attempt."""


class WorkerGroupError(TrainingFailedError):
    """Workers have failed.

    Args:
        error_message: What happened, on which rank and line.
        worker_failures: What each failed worker raised, by its rank.
    """

    def __init__(self, error_message: str, worker_failures: dict[int, Exception]) -> None:
        super().__init__(f"Training failed due to worker errors:\n{error_message}")
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


class NCCLHangError(WorkerGroupError):
    """Workers wait for one another without end in a collective operation, whatever carries it: NCCL or Gloo."""


class PreemptionError(TrainingFailedError):
    """Hosts of the run were taken away, and its `FailureConfig` allows no further attempt.

    Args:
        preemption_info: Which hosts, and when.
        drain_timed_out: Whether workers had not saved their state in time.
    """

    def __init__(self, preemption_info: PreemptionInfo, drain_timed_out: bool = False) -> None:
        super().__init__(
            "Training was interrupted by node preemption "
            f"(preempted_ranks={preemption_info.preempted_ranks}, drain_timed_out={drain_timed_out})."
        )
        self.preemption_info = preemption_info
        self.drain_timed_out = drain_timed_out

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.preemption_info, self.drain_timed_out)
