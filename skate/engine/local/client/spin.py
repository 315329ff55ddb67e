"""Looking for news a moment before sleeping.

A thread that sleeps in a poll is awake again some 10 us after its news has come, where a whole task takes some 50 us. Who waits for
one answer that comes soon is better off to look again and again. Not while several answers are to come: some CPU makes them, and would
lose its time to who looks. It pays only where answers do come soon, so a look in vain is followed by waits without one: 1, 2, 4 and so
on, up to 256.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MOMENT = 100e-6
"""Seconds for which it looks: what a short task and the way there and back take."""
_RESTS = 256
"""The most waits without a look after one in vain: it then costs at most 0.4 us a wait."""


class Spin:
    """Decides whether to look, by how the looks before went. Used by one thread at a time.

    Example:
        >>> Spin(lambda: True).look(lambda timeout: [(3, 1)])
        [(3, 1)]

    """

    __slots__ = ("_alone", "_now", "_resting", "_rests")

    def __init__(self, alone: Callable[[], bool], now: Callable[[], float] = time.perf_counter) -> None:
        self._alone = alone
        self._now = now
        self._rests = 0
        self._resting = 0

    def look(self, poll: Callable[[float], list[tuple[int, int]]]) -> list[tuple[int, int]]:
        """What `poll(0)` finds within a moment; nothing if it finds nothing, or if looking has not paid of late."""
        if not self._alone():
            return []
        if self._resting:
            self._resting -= 1
            return []
        end = self._now() + _MOMENT
        while True:
            events = poll(0)
            if events:
                self._rests = 0
                return events
            if self._now() > end:
                self._rests = self._resting = min(2 * self._rests, _RESTS) or 1
                return []
