"""Timing helpers, used inside the measured process."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.session import Session

__all__ = ["Measured", "check", "sample", "sample_in_turns", "wait_until"]


@dataclass(frozen=True, slots=True)
class Measured:
    """Samples of one metric, and those of its reference if it has one, in the row's unit.

    A metric that a system could not be given a figure for has an ``error`` and no values.
    """

    values: list[float]
    reference: list[float] = field(default_factory=list)
    error: str = ""


def sample(
    session: Session,
    work: Callable[[], object],
    *,
    items: int = 1,
    warmups: int = 2,
    least: int = 5,
    seconds: float = 1.0,
) -> list[float]:
    """Time ``work`` again and again and return the seconds each run took, divided by ``items``.

    Args:
        session: A quick session takes two samples and stops.
        work: What to time.
        items: How many calls one run of ``work`` makes.
        warmups: Runs before the clock counts.
        least: The fewest samples to take.
        seconds: Go on taking samples for this long. Work so slow that it takes ten times as long is run three times.

    """
    return sample_in_turns(session, [work], items=items, warmups=warmups, least=least, seconds=seconds)[0]


def sample_in_turns(
    session: Session,
    works: list[Callable[[], object]],
    *,
    items: int = 1,
    warmups: int = 2,
    least: int = 5,
    seconds: float = 1.0,
) -> list[list[float]]:
    """As `sample`, for several kinds of work in turns, so that all see the same mood of the machine."""
    if session.quick:
        warmups, least, seconds = 1, 2, 0.0
    clock = time.perf_counter
    begin = clock()
    for done in range(warmups):
        if done and clock() - begin > seconds * len(works):
            break
        for work in works:
            work()
    samples: list[list[float]] = [[] for _ in works]
    begin = clock()
    while (taking := clock() - begin) < seconds * len(works) or len(samples[0]) < least:
        if len(samples[0]) >= 2 and taking > 10 * seconds * len(works):
            break
        for work, taken in zip(works, samples, strict=True):
            start = clock()
            work()
            taken.append((clock() - start) / items)
    return samples


def check(got: object, expected: object) -> None:
    """Raise unless the work gave the right answer: a fast wrong answer is no figure.

    Raises:
        RuntimeError: The two differ.

    """
    if got != expected:
        raise RuntimeError(f"wrong answer: got {got!r:.200}, expected {expected!r:.200}")


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Poll until ``condition`` holds.

    Raises:
        TimeoutError: It did not within ``seconds``.

    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.01)
