"""How many workers a run of a variable size has. Decides only."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "GrowthWatch",
    "fitting",
]


def fitting(least: int, most: int, worker: Mapping[str, float], free: Mapping[str, float]) -> int:
    """How many workers there is room for.

    Args:
        least: The least number, which is returned if there is no room for as many.
        most: The largest number.
        worker: What each holds.
        free: What there is.
    """
    room = min((free.get(name, 0) / amount + 1e-9 for name, amount in worker.items() if amount), default=most)
    return max(least, min(most, int(room)))


class GrowthWatch:
    """When a group is to be replaced by a larger one: best right after a checkpoint, so that nothing is done twice.

    Args:
        interval_s: Seconds between two looks; as long as it waits for a checkpoint, too.
        now: The time in seconds.
    """

    def __init__(self, interval_s: float, now: float) -> None:
        self._interval = interval_s
        self.next_look = now + interval_s
        self._waits = False

    def look(self, room: int, now: float) -> bool:
        """Take note of how many more workers there is room for.

        Args:
            room: That number.
            now: The time in seconds.

        Returns:
            Whether to replace the group at once: there has been room since the last look, and no checkpoint came.
        """
        self.next_look = now + self._interval
        overdue = self._waits and room > 0
        self._waits = room > 0
        return overdue

    @property
    def at_next_checkpoint(self) -> bool:
        """Whether the group is to be replaced as soon as a checkpoint is kept."""
        return self._waits
