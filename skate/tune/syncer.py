"""How files of a run reach remote storage."""

from __future__ import annotations

from skate.air.config import SyncConfig

__all__ = ["SyncConfig"]
