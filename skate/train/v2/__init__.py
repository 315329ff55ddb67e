"""The present generation of Train, under the module paths that programs import it from."""

from __future__ import annotations

__all__: list[str] = []
