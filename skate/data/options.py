"""Small types that methods of datasets take as arguments."""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass
from typing import Any

NodeIdStr = str


class MixStoppingCondition(str, enum.Enum):  # noqa: UP042 - prints as Ray's does
    """When a mix of datasets ends."""

    STOP_ON_SHORTEST = "stop_on_shortest"
    STOP_ON_LONGEST_DROP = "stop_on_longest_drop"


class SaveMode(str, enum.Enum):  # noqa: UP042 - prints as Ray's does
    """What writing does where something is already.

    APPEND adds files, OVERWRITE removes what is there, IGNORE writes nothing, ERROR raises.
    """

    APPEND = "append"
    CREATE = "create"
    OVERWRITE = "overwrite"
    IGNORE = "ignore"
    ERROR = "error"
    UPSERT = "upsert"


@dataclass
class RandomSeedConfig:
    """A seed, and whether each execution gets another one derived from it.

    Attributes:
        seed: The seed.
        reseed_after_execution: Whether later executions differ.
    """

    seed: int | None = None
    reseed_after_execution: bool = True


@dataclass
class FileShuffleConfig:
    """Read files in random order.

    Attributes:
        seed: Makes the order the same each time.
        reseed_after_execution: Whether later executions differ, in a way that the seed determines.
    """

    seed: int | None = None
    reseed_after_execution: bool = True

    def __post_init__(self) -> None:
        if self.seed is not None and not isinstance(self.seed, int):
            raise ValueError(f"Seed must be an integer or None, got: {self.seed!r}.")

    def get_seed(self, execution_idx: int = 0) -> int | None:
        """The seed of an execution."""
        if self.seed is None:
            return None
        return hash((self.seed, execution_idx)) & 0x7FFFFFFF if self.reseed_after_execution else self.seed


def seed_of(seed: Any) -> int | None:
    """The number behind a `seed` argument."""
    return seed.seed if isinstance(seed, RandomSeedConfig) else seed


def cpu_count() -> int:
    """The CPUs of the session, or of this machine when there is none."""
    import skate

    if skate.is_initialized():
        return max(1, int(skate.cluster_resources().get("CPU", 1)))
    return os.cpu_count() or 1


__all__ = [
    "FileShuffleConfig",
    "MixStoppingCondition",
    "NodeIdStr",
    "RandomSeedConfig",
    "SaveMode",
    "cpu_count",
    "seed_of",
]
