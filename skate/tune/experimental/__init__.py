"""Where Ray keeps its newest reporters."""

from __future__ import annotations

__all__: list[str] = []
