"""Medians and spreads: what is left of the samples of several rounds."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Figure", "Round", "quartiles", "summarise"]


@dataclass(frozen=True, slots=True)
class Round:
    """The samples of one metric from one process.

    Attributes:
        values: The samples, in the row's unit.
        reference: Samples of the row's reference (a raw round trip, a plain copy) taken between them in the
            same process; empty if the row has none.

    """

    values: tuple[float, ...]
    reference: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """One system's result in one row.

    Attributes:
        median: Median of the rounds' medians, in the row's unit.
        low: First quartile of all samples.
        high: Third quartile of all samples.
        rounds: The median of each round.
        reference: Median of the rounds' reference medians, or None.
        times_reference: Median over rounds of value / reference taken in the same process, or None. Pairing
            cancels the drift of the machine between rounds.
        samples: How many samples stand behind the figure.

    """

    median: float
    low: float
    high: float
    rounds: tuple[float, ...]
    reference: float | None
    times_reference: float | None
    samples: int

    @property
    def spread(self) -> float:
        """Half the interquartile range as a fraction of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Return the first and third quartile, interpolated; of a single value, that value twice.

    Raises:
        ValueError: There are no values.

    Example:
        >>> quartiles([1.0, 2.0, 3.0, 4.0, 5.0])
        (2.0, 4.0)

    """
    if not values:
        raise ValueError("quartiles of no values: a benchmark must return at least one sample")
    if len(values) == 1:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def summarise(rounds: Sequence[Round]) -> Figure:
    """Reduce the rounds of one metric to a figure.

    Raises:
        ValueError: A round is empty, or a sample is not a finite number of at least zero.

    """
    everything = [value for one in rounds for value in one.values]
    for value in [*everything, *(value for one in rounds for value in one.reference)]:
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"sample {value!r} is not a finite number of at least zero: mend the benchmark")
    low, high = quartiles(everything)
    medians = tuple(statistics.median(one.values) for one in rounds)
    references = [statistics.median(one.reference) for one in rounds if one.reference]
    paired = [
        statistics.median(one.values) / statistics.median(one.reference) for one in rounds if one.reference
    ]
    return Figure(
        median=statistics.median(medians),
        low=low,
        high=high,
        rounds=medians,
        reference=statistics.median(references) if references else None,
        times_reference=statistics.median(paired) if paired else None,
        samples=len(everything),
    )
