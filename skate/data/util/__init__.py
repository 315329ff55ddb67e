"""Helpers for functions on batches."""

from __future__ import annotations

__all__: list[str] = []
