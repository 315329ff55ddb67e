"""What a benchmark is handed: which system to measure, how much work to do, and how to open the system.

Nothing is imported here that the measured system might need itself: importing it is part of what is timed.
"""

from __future__ import annotations

import importlib
from contextlib import contextmanager

TYPE_CHECKING = False  # as typing's own, without importing typing before the clock starts
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["API_SYSTEMS", "CPUS", "TOKEN", "Session"]

CPUS = 2
"""Workers every system is given, whatever the machine has, so that all do the same work."""

API_SYSTEMS = {"skate": "skate", "ray": "ray"}
"""Systems that share one API, and the module each is imported as."""

TOKEN = "SKATE_BENCH_RUN"
"""Environment variable that marks every process of one measurement."""


class Session:
    """One measurement of one system.

    Args:
        system: Name of the system.
        quick: Do less work: for checking that a benchmark runs, not for figures.

    """

    def __init__(self, system: str, quick: bool) -> None:
        self.system = system
        self.quick = quick

    def size(self, full: int, quick: int) -> int:
        """Return ``full``, or ``quick`` in a quick run."""
        return quick if self.quick else full

    def load(self) -> Any:
        """Import and return the module with the system's API."""
        return importlib.import_module(API_SYSTEMS[self.system])

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Import the system, ``init`` it with ``CPUS`` workers, hand out its module, and shut it down."""
        module = self.load()
        module.init(num_cpus=CPUS)
        try:
            yield module
        finally:
            module.shutdown()
