"""What stands behind `Tuner` and `tune.run`."""

from __future__ import annotations

__all__: list[str] = []
