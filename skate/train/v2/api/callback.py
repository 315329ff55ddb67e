"""What a program can have called as a run goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint

__all__ = [
    "RayTrainCallback",
    "UserCallback",
]


class RayTrainCallback:
    """The base of all callbacks of a run."""

    def at_end(self, run_context: Any) -> None:
        """The run has ended, well or not.

        Args:
            run_context: What is known about the run.
        """


class UserCallback(RayTrainCallback):
    """Called in the process that called `fit`. Pass instances as `RunConfig(callbacks=[…])`."""

    def after_report(
        self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Checkpoint | None
    ) -> None:
        """Every worker has called `report`.

        Args:
            run_context: What is known about the run; `run_context.run_config` is its configuration.
            metrics: What each worker reported, in the order of ranks.
            checkpoint: The checkpoint that was kept with it, or None.
        """

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Workers have failed; called before each new attempt and before the run fails.

        Args:
            run_context: What is known about the run.
            worker_exceptions: What each failed worker raised, by its rank.
        """
