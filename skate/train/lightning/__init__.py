"""Training with PyTorch Lightning: `pip install lightning`. Importing this imports Lightning, and with it PyTorch."""

from __future__ import annotations

from skate.train.lightning._callback import RayTrainReportCallback
from skate.train.lightning._environment import RayLightningEnvironment
from skate.train.lightning._prepare import prepare_trainer
from skate.train.lightning._strategies import RayDDPStrategy, RayDeepSpeedStrategy, RayFSDPStrategy

__all__ = [
    "RayDDPStrategy",
    "RayDeepSpeedStrategy",
    "RayFSDPStrategy",
    "RayLightningEnvironment",
    "RayTrainReportCallback",
    "prepare_trainer",
]
