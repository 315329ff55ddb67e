"""Stops the whole search when its best trials no longer get better."""

from __future__ import annotations

import statistics
from typing import Any

from skate.tune.stopper.stopper import Stopper

__all__ = [
    "ExperimentPlateauStopper",
]


class ExperimentPlateauStopper(Stopper):
    """Stops the whole search when its best results no longer get better.

    Args:
        metric: The metric.
        std: The standard deviation of the best results at which they count as unchanged.
        top: How many of the best results are looked at.
        mode: "min" or "max".
        patience: How many results in a row they have to be unchanged.

    Raises:
        ValueError: `mode` is neither, or another number is out of range.
    """

    def __init__(
        self, metric: str, std: float = 0.001, top: int = 10, mode: str = "min", patience: int = 0
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError("The mode parameter can only be either min or max.")
        if not isinstance(top, int) or top <= 1:
            raise ValueError("Top results to consider must be a positive integer greater than one.")
        if not isinstance(patience, int) or patience < 0:
            raise ValueError("Patience must be a strictly positive integer, or 0.")
        if not isinstance(std, float) or std <= 0:
            raise ValueError("The standard deviation must be a strictly positive float number.")
        self._mode = mode
        self._metric = metric
        self._patience = patience
        self._iterations = 0
        self._std = std
        self._top = top
        self._top_values: list[float] = []

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether the search is done: then every trial is."""
        self._top_values.append(result[self._metric])
        self._top_values.sort(reverse=self._mode == "max")
        del self._top_values[self._top :]
        self._iterations = self._iterations + 1 if self.has_plateaued() else 0
        return self.stop_all()

    def has_plateaued(self) -> bool:
        """Whether the best results are alike."""
        return len(self._top_values) == self._top and statistics.pstdev(self._top_values) <= self._std

    def stop_all(self) -> bool:
        """Whether they have been for long enough."""
        return self.has_plateaued() and self._iterations >= self._patience
