"""Callbacks that report from inside of other libraries' training loops."""

from __future__ import annotations

__all__: list[str] = []
