"""What goes wrong in a search."""

from __future__ import annotations

__all__ = [
    "TuneError",
]


class TuneError(Exception):
    """A search can't go on, or a trial of it failed."""
