"""What a stage did, block by block."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple


class Made(NamedTuple):
    """A block that was made.

    Attributes:
        rows: Its rows.
        size_bytes: Its size in memory.
        wall_s: Seconds that passed while it was made, where it was made.
        cpu_s: Seconds of CPU time of that.
        task: The number of the task that made it.
    """

    rows: int
    size_bytes: int
    wall_s: float
    cpu_s: float
    task: int


@dataclass
class StageStats:
    """What a stage did, for `Dataset.stats()`.

    Attributes:
        name: The operators in it.
        expected: The rows that it will make, where that is known.
        blocks: The blocks that it made.
        tasks: How many tasks ran; 0 if all was done in this process.
        started: When it began, by the monotonic clock.
        ended: When it ended.
    """

    name: str
    expected: int | None = None
    blocks: list[Made] = field(default_factory=list)
    tasks: int = 0
    started: float = 0.0
    ended: float = 0.0


class Laps:
    """Measures what each block takes in the process where it is made."""

    def __init__(self) -> None:
        self._wall = self._cpu = 0.0
        self.start()

    def start(self) -> None:
        """Begin to measure: the time before does not count."""
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def lap(self) -> tuple[float, float]:
        """Seconds, and seconds of CPU time, since the last lap or start."""
        wall, cpu = time.perf_counter(), time.process_time()
        found = wall - self._wall, cpu - self._cpu
        self._wall, self._cpu = wall, cpu
        return found


__all__ = ["Laps", "Made", "StageStats"]
