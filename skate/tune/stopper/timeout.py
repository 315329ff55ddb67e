"""Stops the whole search after some time."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any

from skate.tune.stopper.stopper import Stopper

__all__ = [
    "TimeoutStopper",
]


class TimeoutStopper(Stopper):
    """Stops the whole search after some time. Time before a restore counts.

    Args:
        timeout: Seconds, or a `timedelta`.

    Raises:
        ValueError: it is neither, or not above zero.
    """

    _clock: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(self, timeout: float | datetime.timedelta) -> None:
        seconds = timeout.total_seconds() if isinstance(timeout, datetime.timedelta) else timeout
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise ValueError(
                f"`timeout` parameter has to be either a number or a `datetime.timedelta` object. Found: {type(timeout)} ({timeout!r})."
            )
        self._left = float(seconds)
        self._since: float | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No: trials are stopped all at once."""
        return False

    def stop_all(self) -> bool:
        """Whether the time is over; it runs from the first time this is asked."""
        now = self._clock()
        if self._since is None:
            self._since = now
        return now - self._since >= self._left

    def __getstate__(self) -> dict[str, Any]:
        used = 0.0 if self._since is None else self._clock() - self._since
        return {"_left": max(0.0, self._left - used), "_since": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
