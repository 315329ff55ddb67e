"""`DataConfig`, under the path from which programs import it."""

from __future__ import annotations

from skate.train._data_config import DataConfig

__all__ = ["DataConfig"]
