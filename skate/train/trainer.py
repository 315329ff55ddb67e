"""What all trainers of the first generation share, under another module path."""

from __future__ import annotations

from skate.train.base_trainer import BaseTrainer, TrainingFailedError

__all__ = ["BaseTrainer", "TrainingFailedError"]
