"""A run's progress on a terminal: one line, gone when the run has ended. Nothing is drawn where nobody looks."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from numbers import Real
from typing import Any

__all__ = ["ProgressLine", "described"]

_MOST = 6


def described(metrics: Mapping[str, Any]) -> str:
    """The first few numbers of a report, in one line.

    Args:
        metrics: What rank 0 has reported.
    """
    parts = []
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, Real):
            continue
        parts.append(f"{name}={value}" if isinstance(value, int) else f"{name}={float(value):.4g}")
    return " ".join([*parts[:_MOST], "…"] if len(parts) > _MOST else parts)


class ProgressLine:
    """Counts the reports of a run on the terminal, with the newest metrics. SKATE_TRAIN_PROGRESS=0 turns it off.

    Args:
        name: The run's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._workers = 0
        self._bar: Any = None
        self._is_shown = os.environ.get("SKATE_TRAIN_PROGRESS", "1") != "0" and bool(
            getattr(sys.stderr, "isatty", lambda: False)()
        )

    def begin(self, workers: int) -> None:
        """An attempt begins.

        Args:
            workers: How many it has.
        """
        self._workers = workers
        if self._is_shown and self._bar is None:
            from skate.experimental import tqdm_ray

            self._bar = tqdm_ray.tqdm(desc=self._described({}), unit="report", flush_interval_s=0.1)

    def reported(self, metrics: Mapping[str, Any]) -> None:
        """All workers have reported.

        Args:
            metrics: What rank 0 has.
        """
        if self._bar is not None:
            self._bar.set_description(self._described(metrics))
            self._bar.update(1)

    def _described(self, metrics: Mapping[str, Any]) -> str:
        return f"{self._name} on {self._workers} worker(s) {described(metrics)}".rstrip()

    def close(self) -> None:
        """Take the line away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
