"""Training with TensorFlow: `pip install tensorflow`. Importing this imports TensorFlow only where it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skate.train._generation import v2_enabled as _v2_enabled
from skate.train.tensorflow.config import TensorflowConfig
from skate.train.tensorflow.tensorflow_checkpoint import TensorflowCheckpoint
from skate.train.tensorflow.train_loop_utils import prepare_dataset_shard

if TYPE_CHECKING or _v2_enabled():
    from skate.train.v2.tensorflow.tensorflow_trainer import TensorflowTrainer
else:
    from skate.train.tensorflow.tensorflow_trainer import TensorflowTrainer

__all__ = [
    "TensorflowCheckpoint",
    "TensorflowConfig",
    "TensorflowTrainer",
    "prepare_dataset_shard",
]
