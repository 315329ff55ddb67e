"""A running statistic of how long something takes."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType


class _Timer:
    """Times the blocks that it is entered for, and how many units they process, over the last ones.

    Args:
        window_size: Over how many blocks.

    Example:
        >>> from skate.util.timer import _Timer
        >>> timer = _Timer()
        >>> timer.push(0.25)
        >>> timer.push_units_processed(50)
        >>> timer.mean, timer.mean_throughput
        (0.25, 200.0)
    """

    def __init__(self, window_size: int = 10) -> None:
        self.count = 0
        """How many blocks there were in all."""
        self._samples: deque[float] = deque(maxlen=window_size)
        self._units: deque[float] = deque(maxlen=window_size)
        self._start: float | None = None
        self._total = 0.0

    def __enter__(self) -> None:
        if self._start is not None:
            raise RuntimeError("this timer runs already: a timer times one block at a time.")
        self._start = time.time()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._start is not None
        self.push(time.time() - self._start)
        self._start = None

    def push(self, time_delta: float) -> None:
        """A block has taken so many seconds."""
        self._samples.append(time_delta)
        self.count += 1
        self._total += time_delta

    def push_units_processed(self, n: float) -> None:
        """A block has processed so many units."""
        self._units.append(n)

    def has_units_processed(self) -> bool:
        """Whether units were told of."""
        return bool(self._units)

    @property
    def mean(self) -> float:
        """The mean of the last blocks, in seconds; 0 without any."""
        return sum(self._samples) / len(self._samples) if self._samples else 0.0

    @property
    def mean_units_processed(self) -> float:
        """The mean of the last units; 0 without any."""
        return sum(self._units) / len(self._units) if self._units else 0.0

    @property
    def mean_throughput(self) -> float:
        """Units a second; 0 where no time has passed."""
        seconds = sum(self._samples)
        return sum(self._units) / seconds if seconds else 0.0


__all__: list[str] = []  # the name with an underscore is what programs import
