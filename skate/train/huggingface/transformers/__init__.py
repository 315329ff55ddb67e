"""Training with Transformers: `pip install transformers accelerate`."""

from __future__ import annotations

from skate.train.huggingface.transformers._callback import RayTrainReportCallback
from skate.train.huggingface.transformers._prepare import prepare_trainer

__all__ = [
    "RayTrainReportCallback",
    "prepare_trainer",
]
