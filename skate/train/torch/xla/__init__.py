"""Training with PyTorch on devices that its XLA package drives."""

from __future__ import annotations

from skate.train.torch.xla.config import TorchXLAConfig

__all__ = ["TorchXLAConfig"]
