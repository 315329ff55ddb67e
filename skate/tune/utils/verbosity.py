"""How much a run prints."""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "AirVerbosity",
    "Verbosity",
]


class AirVerbosity(IntEnum):
    """0: nothing; 1: a table now and then; 2: each result too."""

    SILENT = 0
    DEFAULT = 1
    VERBOSE = 2

    def __repr__(self) -> str:
        return str(self.value)


class Verbosity(IntEnum):
    """The four levels of older programs."""

    V0_MINIMAL = 0
    V1_EXPERIMENT = 1
    V2_TRIAL_NORM = 2
    V3_TRIAL_DETAILS = 3
