"""How a search's progress is shown: as text, and in a notebook."""

from __future__ import annotations

__all__: list[str] = []
