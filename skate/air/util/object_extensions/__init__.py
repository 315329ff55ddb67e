"""Columns of Python objects, under the module names that programs written for Ray import."""

from __future__ import annotations

__all__: list[str] = []
