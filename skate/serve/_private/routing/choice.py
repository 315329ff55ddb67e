"""Which replica takes a request: of two chosen at random, the one with the shorter queue."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol, TypeVar


class Candidate(Protocol):
    """A replica as the choice sees it."""

    ongoing: int
    limit: int
    retry_at: float
    """Until when it is left alone, as it said that it was full."""


C = TypeVar("C", bound=Candidate)


def shorter_of_two(candidates: Sequence[C], now: float) -> C | None:
    """The shorter of two queues among the replicas that have room; None if none has.

    Looking at two is nearly as good as looking at all, and keeps many handles from choosing the same one together.
    """
    count = len(candidates)
    if count == 1:
        only = candidates[0]
        return only if only.ongoing < only.limit and only.retry_at <= now else None
    if count == 0:
        return None
    first = random.randrange(count)
    second = random.randrange(count - 1)
    if second >= first:
        second += 1
    a, b = candidates[first], candidates[second]
    if b.ongoing < a.ongoing:
        a, b = b, a
    if a.ongoing < a.limit and a.retry_at <= now:
        return a
    if b.ongoing < b.limit and b.retry_at <= now:
        return b
    free = [c for c in candidates if c.ongoing < c.limit and c.retry_at <= now]
    return min(free, key=lambda c: c.ongoing) if free else None
