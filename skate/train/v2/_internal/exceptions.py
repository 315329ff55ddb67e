"""The base of Train's errors, and those that only its own code raises."""

from __future__ import annotations

from typing import Any

__all__ = ["BroadcastCollectiveTimeoutError", "CollectiveTimeoutError", "RayTrainError"]


class RayTrainError(Exception):
    """The base of the errors of training runs."""


class CollectiveTimeoutError(RayTrainError):
    """Workers have waited too long for others in a call that all have to make."""


class BroadcastCollectiveTimeoutError(CollectiveTimeoutError):
    """Ranks have not made the call in which others wait: `report`, `barrier`, `broadcast_from_rank_zero`.

    Args:
        time_elapsed: Seconds that were waited.
        missing_ranks: The ranks that have not come.
        timeout_s: The limit in seconds, of the environment variable RAY_TRAIN_COLLECTIVE_TIMEOUT_S.
    """

    def __init__(self, time_elapsed: float, missing_ranks: list[int], timeout_s: float) -> None:
        super().__init__(
            f"The collective operation timed out after {time_elapsed:.2f} seconds. The following ranks have not joined the "
            f"collective operation: {missing_ranks}. RAY_TRAIN_COLLECTIVE_TIMEOUT_S sets the limit ({timeout_s:.2f} seconds now): "
            "see what these ranks do (skate stack), or raise it."
        )
        self._args = (time_elapsed, missing_ranks, timeout_s)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._args
