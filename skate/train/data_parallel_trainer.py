"""`DataParallelTrainer`, under another module path."""

from __future__ import annotations

from skate.train.v2.api.data_parallel_trainer import DataParallelTrainer

__all__ = ["DataParallelTrainer"]
