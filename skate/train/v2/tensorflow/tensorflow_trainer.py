"""`TensorflowTrainer`, under another module path."""

from __future__ import annotations

from skate.train.tensorflow.tensorflow_trainer import TensorflowTrainer

__all__ = ["TensorflowTrainer"]
