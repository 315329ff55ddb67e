"""An error of the first generation."""

from __future__ import annotations

__all__ = ["SessionMisuseError"]


class SessionMisuseError(Exception):
    """Something was called where no training function runs."""
