"""The base of all stoppers, and the one that joins others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

__all__ = [
    "CombinedStopper",
    "Stopper",
]


class Stopper(ABC):
    """Decides when a trial is done, and when the whole search is.

    Example:
        >>> class AboveTen(Stopper):
        ...     def __call__(self, trial_id, result):
        ...         return result["score"] > 10
        ...     def stop_all(self):
        ...         return False
        >>> AboveTen()("trial", {"score": 11})
        True
    """

    @abstractmethod
    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether a trial is done.

        Args:
            trial_id: The trial's id.
            result: Its newest result.
        """

    @abstractmethod
    def stop_all(self) -> bool:
        """Whether the whole search is done."""


class CombinedStopper(Stopper):
    """Stops when any of several stoppers does.

    Args:
        *stoppers: The stoppers; each sees every result.
    """

    def __init__(self, *stoppers: Stopper) -> None:
        self._stoppers = stoppers

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether any of them says so."""
        return any([stopper(trial_id, result) for stopper in self._stoppers])  # noqa: C419 - each must see it

    def stop_all(self) -> bool:
        """Whether any of them says so."""
        return any(stopper.stop_all() for stopper in self._stoppers)
