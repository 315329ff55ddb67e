"""The public names of Train, one concept a module."""

from __future__ import annotations

__all__: list[str] = []
