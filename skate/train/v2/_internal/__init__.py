"""Names of `ray.train.v2._internal` that programs import all the same."""

from __future__ import annotations

__all__: list[str] = []
