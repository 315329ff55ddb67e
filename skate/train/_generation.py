"""Which generation of Train's API a program uses: trainers of the first are trials of Tune, those of the second stand alone."""

from __future__ import annotations

import os
import warnings

from skate.util.annotations import RayDeprecationWarning

__all__ = [
    "V2_ENABLED",
    "v2_enabled",
    "warn_of_migration",
    "warnings_wanted",
]

V2_ENABLED = "RAY_TRAIN_V2_ENABLED"
"""The environment variable that a program sets to 0, before it imports anything of Train, to have the first generation."""


def v2_enabled() -> bool:
    """Whether the names of `skate.train` are those of the second generation."""
    return os.environ.get(V2_ENABLED, "1").lower() in ("1", "true")


def warnings_wanted() -> bool:
    """Whether programs want to be told what the second generation does not have."""
    return os.environ.get("RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS", "1").lower() in ("1", "true")


def warn_of_migration(message: str) -> None:
    """Say that something belongs to the first generation; RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS=0 silences it.

    Args:
        message: What, and what to do instead.
    """
    if warnings_wanted():
        warnings.warn(message, RayDeprecationWarning, stacklevel=3)
