"""`TrainContext`, under another module path."""

from __future__ import annotations

from skate.train.context import TrainContext

__all__ = ["TrainContext"]
