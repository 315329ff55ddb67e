"""How checkpoints are validated beside the training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.air._checkpoint import Checkpoint

__all__ = [
    "ValidationConfig",
    "ValidationFn",
    "ValidationTaskConfig",
]


class ValidationFn(Protocol):
    """A function that validates a checkpoint. It runs in a task of its own, or starts a trainer or tasks itself."""

    def __call__(self, checkpoint: Checkpoint, **kwargs: Any) -> dict[str, Any]:
        """Validate.

        Args:
            checkpoint: The checkpoint, as it is kept.
            **kwargs: `ValidationTaskConfig.fn_kwargs`.

        Returns:
            Metrics, which are added to those that were reported with the checkpoint.
        """
        ...


@dataclass
class ValidationTaskConfig:
    """What one validation is given.

    Args:
        fn_kwargs: Arguments of the validation function by name.
        timeout_s: Seconds that it may take; None: any time.
    """

    fn_kwargs: dict[str, Any] | None = None
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        if self.fn_kwargs is None:
            self.fn_kwargs = {}


class ValidationConfig:
    """How the checkpoints of a run are validated: those that `train.report` is told to validate.

    Args:
        fn: The validation function, a `ValidationFn`.
        task_config: What each validation is given, unless its report says otherwise.
        ray_remote_kwargs: Options of the task in which it runs, such as `{"num_cpus": 2}`.
    """

    def __init__(
        self,
        fn: Callable[..., dict[str, Any]],
        task_config: ValidationTaskConfig | None = None,
        ray_remote_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.fn = fn
        self.task_config = task_config or ValidationTaskConfig()
        self.ray_remote_kwargs = ray_remote_kwargs or {}
