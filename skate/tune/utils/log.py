"""How much a search prints, as older programs say it."""

from __future__ import annotations

import sys

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


def disable_ipython() -> None:
    """Take IPython's shell away, so that what is printed is text and no HTML. Nothing to do where IPython was never imported."""
    shells = sys.modules.get("IPython.core.interactiveshell")
    if shells is not None:
        shells.InteractiveShell.clear_instance()


__all__ = ["Verbosity", "disable_ipython", "has_verbosity", "set_verbosity", "verbosity"]
