"""What all trainers share, under the module path that programs import it from."""

from __future__ import annotations

from skate.train.v2.api.data_parallel_trainer import DataParallelTrainer
from skate.train.v2.api.exceptions import TrainingFailedError

__all__ = ["BaseTrainer", "TrainingFailedError"]

BaseTrainer = DataParallelTrainer
