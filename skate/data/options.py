"""Small types that methods of datasets take as arguments."""

from __future__ import annotations

import enum
import os
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skate.data.context import DataContext

NodeIdStr = str


class MixStoppingCondition(str, enum.Enum):  # noqa: UP042 - prints as Ray's does
    """When a mix of datasets ends."""

    STOP_ON_SHORTEST = "stop_on_shortest"
    STOP_ON_LONGEST_DROP = "stop_on_longest_drop"


class SaveMode(str, enum.Enum):  # noqa: UP042 - prints as Ray's does
    """What writing does where something is already.

    APPEND adds to it, OVERWRITE replaces it, IGNORE writes nothing, ERROR and CREATE raise; UPSERT, for stores that
    have it, replaces rows of the same key.
    """

    APPEND = "append"
    CREATE = "create"
    OVERWRITE = "overwrite"
    IGNORE = "ignore"
    ERROR = "error"
    UPSERT = "upsert"


@dataclass(frozen=True)
class SeedTuple:
    """A seed for one run.

    Attributes:
        seed: The seed.
        execution_idx: Which run of the dataset it is; None if all are the same.
    """

    seed: int
    execution_idx: int | None = None

    def to_rng_args(self) -> tuple[int, ...]:
        """What `numpy.random.default_rng` takes."""
        return (self.seed,) if self.execution_idx is None else (self.seed, self.execution_idx)


@dataclass
class RandomSeedConfig:
    """A seed, and whether each execution gets another one derived from it.

    Attributes:
        seed: The seed.
        reseed_after_execution: Whether later executions differ.
        use_timestamp_as_default: Accepted for Ray's programs: without a seed, executions differ.

    Raises:
        ValueError: the seed is no whole number.
    """

    seed: int | None = None
    reseed_after_execution: bool = True
    use_timestamp_as_default: bool = False

    def __post_init__(self) -> None:
        if self.seed is not None and not isinstance(self.seed, int):
            raise ValueError(f"Seed must be an integer or None, got: {self.seed!r}.")

    def get_seed_tuple(self, *, data_context: DataContext) -> SeedTuple | None:
        """The seed of the run that a context is of; None without a seed.

        Args:
            data_context: The context of a dataset, which knows the run it is in.
        """
        if self.seed is None:
            return None
        return SeedTuple(self.seed, data_context._execution_idx if self.reseed_after_execution else None)

    @classmethod
    def create_seed_config(cls, seed: Any, *, use_timestamp_as_default: bool = False) -> RandomSeedConfig:
        """A configuration from a `seed` argument: a number is the same for each execution.

        Raises:
            ValueError: it is none of what it may be.
        """
        found = checked_seed(seed)
        if isinstance(found, RandomSeedConfig):
            return cls(found.seed, found.reseed_after_execution, use_timestamp_as_default)
        return cls(found, False, use_timestamp_as_default)


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


def checked_seed(seed: Any) -> int | RandomSeedConfig | None:
    """A `seed` argument.

    Raises:
        ValueError: it is none of what it may be.
    """
    if seed is None or isinstance(seed, (int, RandomSeedConfig)):
        return seed
    raise ValueError(f"Invalid seed type: {type(seed)}. Give an int, a RandomSeedConfig or None.")


def seed_of(seed: Any, run: int = 0) -> int | None:
    """The number behind a `seed` argument, for one of several runs of the same dataset.

    Args:
        seed: A number, a `RandomSeedConfig`, or None.
        run: Which run it is; the first one is 0.
    """
    if not isinstance(seed, RandomSeedConfig) or seed.seed is None:
        return None if isinstance(seed, RandomSeedConfig) else seed
    return zlib.crc32(f"{seed.seed}/{run}".encode()) if seed.reseed_after_execution else seed.seed


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
    "SeedTuple",
    "checked_seed",
    "cpu_count",
    "seed_of",
]
