"""How much a search prints, as older programs say it."""

from __future__ import annotations

from skate.tune.utils import verbosity as _levels

Verbosity = _levels.Verbosity

_level: int = Verbosity.V3_TRIAL_DETAILS


def set_verbosity(level: int | _levels.Verbosity) -> None:
    """Choose how much is printed."""
    global _level
    _level = int(level)


def has_verbosity(level: int | _levels.Verbosity) -> bool:
    """Whether that much is printed."""
    return _level >= int(level)


def verbosity() -> _levels.Verbosity:
    """How much is printed."""
    return Verbosity(_level)


__all__ = ["Verbosity", "has_verbosity", "set_verbosity", "verbosity"]
