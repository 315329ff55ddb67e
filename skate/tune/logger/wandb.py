"""Weights & Biases: each trial a run."""

from __future__ import annotations

from skate.air.integrations.wandb import WandbLoggerCallback

__all__ = ["WandbLoggerCallback"]
