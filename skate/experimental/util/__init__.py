"""Types of what is experimental."""

from __future__ import annotations

__all__: list[str] = []
