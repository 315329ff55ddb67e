"""Helpers that programs written for Ray import from here."""

from __future__ import annotations

__all__: list[str] = []
