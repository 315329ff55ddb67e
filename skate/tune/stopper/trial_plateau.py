"""Stops a trial whose metric has stopped changing."""

from __future__ import annotations

import statistics
from collections import defaultdict, deque
from typing import Any

from skate.tune.stopper.stopper import Stopper

__all__ = [
    "TrialPlateauStopper",
]


class TrialPlateauStopper(Stopper):
    """Stops a trial whose metric has stopped changing.

    Args:
        metric: The metric.
        std: The standard deviation of the last results at which it counts as unchanged.
        num_results: How many of the last results are looked at.
        grace_period: Results before which no trial is stopped.
        metric_threshold: Stop only beyond this value.
        mode: "min" if beyond means below it, "max" if above.

    Raises:
        ValueError: `metric_threshold` is given without `mode`.
    """

    def __init__(
        self,
        metric: str,
        std: float = 0.01,
        num_results: int = 4,
        grace_period: int = 4,
        metric_threshold: float | None = None,
        mode: str | None = None,
    ) -> None:
        self._metric = metric
        self._std = std
        self._grace_period = grace_period
        self._metric_threshold = metric_threshold
        if metric_threshold is not None and mode not in ("min", "max"):
            raise ValueError(
                f"When specifying a `metric_threshold`, the `mode` argument has to be one of [min, max]. Got: {mode}"
            )
        self._mode = mode
        self._iter: dict[str, int] = defaultdict(int)
        self._recent: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=num_results))
        self._num_results = num_results

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether the trial's metric has stopped changing."""
        value = result.get(self._metric)
        recent = self._recent[trial_id]
        if value is not None:
            recent.append(value)
        self._iter[trial_id] += 1
        if self._iter[trial_id] < self._grace_period or len(recent) < self._num_results:
            return False
        if self._metric_threshold is not None and value is not None:
            if self._mode == "min" and value > self._metric_threshold:
                return False
            if self._mode == "max" and value < self._metric_threshold:
                return False
        return statistics.pstdev(recent) < self._std

    def stop_all(self) -> bool:
        """No."""
        return False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_recent": {key: list(values) for key, values in self._recent.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        recent = state.pop("_recent")
        self.__dict__.update(state)
        size = self._num_results
        self._recent = defaultdict(lambda: deque(maxlen=size))
        for key, values in recent.items():
            self._recent[key].extend(values)
