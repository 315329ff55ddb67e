"""Training with PyTorch: `pip install torch`. Importing this imports PyTorch only where a training loop needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skate.train._generation import v2_enabled as _v2_enabled
from skate.train.torch.config import TorchConfig
from skate.train.torch.torch_checkpoint import TorchCheckpoint
from skate.train.torch.train_loop_utils import (
    accelerate,
    backward,
    enable_reproducibility,
    get_device,
    get_devices,
    prepare_data_loader,
    prepare_model,
    prepare_optimizer,
)

if TYPE_CHECKING or _v2_enabled():
    from skate.train.v2.torch.torch_trainer import TorchTrainer
else:
    from skate.train.torch.torch_trainer import TorchTrainer

__all__ = [
    "TorchCheckpoint",
    "TorchConfig",
    "TorchTrainer",
    "accelerate",
    "backward",
    "enable_reproducibility",
    "get_device",
    "get_devices",
    "prepare_data_loader",
    "prepare_model",
    "prepare_optimizer",
]
