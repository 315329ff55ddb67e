"""What goes wrong in a search."""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "TuneError",
]


class TuneError(Exception):
    """A search can't go on, or a trial of it failed."""


class ArgumentError(ValueError, AssertionError):
    """An argument makes no sense. Programs written for Ray may expect an AssertionError where it asserts."""
