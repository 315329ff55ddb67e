"""`TorchTrainer`, under another module path."""

from __future__ import annotations

from skate.train.torch.torch_trainer import TorchTrainer

__all__ = ["TorchTrainer"]
