"""What schedulers share that compare trials by a metric at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from skate.tune import result as _keys
from skate.tune.error import ArgumentError
from skate.tune.schedulers.trial_scheduler import FIFOScheduler

__all__ = [
    "ComparingScheduler",
    "median",
    "percentile",
]


class ComparingScheduler(FIFOScheduler):
    """Compares trials by a metric at a time.

    Args:
        time_attr: What counts as a trial's time.
        metric: The metric; default: that of the search.
        mode: "min" or "max"; default: that of the search.

    Raises:
        ValueError: the mode is neither.
    """

    def __init__(self, time_attr: str, metric: str | None, mode: str | None) -> None:
        if mode is not None and mode not in ("min", "max"):
            raise ArgumentError(f"`mode` must be 'min' or 'max', not {mode!r}.")
        self._time_attr = time_attr
        self._metric = metric
        self._mode = mode
        self._metric_op = 1.0
        self._set_op()

    def _set_op(self) -> None:
        self._metric_op = -1.0 if self._mode == "min" else 1.0

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Learn the metric and the mode, unless they have been given."""
        if (self._metric and metric) or (self._mode and mode):
            return False
        self._metric = self._metric or metric
        self._mode = self._mode or mode
        self._set_op()
        if self._metric is None and self._mode:
            self._metric = _keys.DEFAULT_METRIC
        return True

    def need_metric(self) -> None:
        """Check that there is a metric to compare by.

        Raises:
            ValueError: there is none.
        """
        if not self._metric or not self._mode:
            raise ValueError(
                f"{type(self).__name__} has been instantiated without a valid `metric` ({self._metric}) or `mode` "
                f"({self._mode}) parameter. Either pass these parameters when instantiating the scheduler, or pass them as "
                "parameters to `tune.TuneConfig()`"
            )

    def score(self, result: dict[str, Any]) -> float:
        """How good a result is: more is better."""
        assert self._metric is not None, "need_metric was called"
        return float(self._metric_op * result[self._metric])


def percentile(values: Sequence[float], q: float) -> float:
    """The value below which `q` per cent of the values lie, between two of them in proportion.

    Args:
        values: At least one value.
        q: From 0 to 100.

    Example:
        >>> percentile([1, 2, 3, 4], 75)
        3.25
    """
    ordered = sorted(values)
    place = (len(ordered) - 1) * q / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def median(values: Sequence[float]) -> float:
    """The value in the middle."""
    return percentile(values, 50)
