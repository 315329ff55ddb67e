"""Groups of processes that exchange tensors, a class for each backend."""

from __future__ import annotations

__all__: list[str] = []
