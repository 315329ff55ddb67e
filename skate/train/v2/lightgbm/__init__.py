"""LightGBM, under the module paths of the present generation."""

from __future__ import annotations

__all__: list[str] = []
