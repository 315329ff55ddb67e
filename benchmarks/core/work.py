"""The functions that every system runs: one definition, so that the work is the same."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "BOOTSTRAPS",
    "GROUP",
    "LEAVES",
    "LINKS",
    "QUEUED",
    "add_one",
    "check_means",
    "delays",
    "identity",
    "large_array",
    "nothing",
    "simulate",
    "total",
]

QUEUED = 1_000
"""Calls in a queue."""

LEAVES, GROUP = 10_000, 100
"""Leaves of the tree, and how many values one node of it adds up."""

LINKS = 5_000
"""Tasks of the chain, each needing the one before."""

BOOTSTRAPS = 10_000
"""Simulations of the bootstrap."""


def nothing() -> None:
    """The empty task."""


def identity(value: int) -> int:
    """A leaf of the tree."""
    return value


def add_one(value: int) -> int:
    """A link of the chain."""
    return value + 1


def total(*values: int) -> int:
    """A node of the tree."""
    return sum(values)


def delays() -> np.ndarray[Any, Any]:
    """The sample that the bootstrap draws from: 10,000 skewed numbers, the same on every system."""
    import numpy as np

    return np.random.default_rng(7).gamma(2.0, 15.0, 10_000)


def simulate(data: np.ndarray[Any, Any], seed: int) -> float:
    """One bootstrap simulation: the mean of as many draws, with replacement, as there are data."""
    import numpy as np

    draws = np.random.default_rng(seed).integers(0, len(data), len(data))
    return float(data[draws].mean())


def check_means(means: list[float], number: int) -> None:
    """Raise unless the bootstrap gave ``number`` means, each where a mean can be, the first exactly right."""
    data = delays()
    if len(means) != number or means[0] != simulate(data, 0):
        raise RuntimeError(f"the bootstrap gave {len(means)} means, the first {means[0]!r}")
    if not all(27.0 < mean < 33.0 for mean in means):
        raise RuntimeError("the bootstrap gave a mean far from 30")


@cache
def large_array(size: int) -> np.ndarray[Any, Any]:
    """An array of ``size`` bytes with every page touched, made once a process."""
    import numpy as np

    return np.ones(size // 8)
