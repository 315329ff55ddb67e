"""Training with XGBoost: `pip install xgboost`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skate.train._generation import v2_enabled as _v2_enabled
from skate.train.xgboost.callback import RayTrainReportCallback
from skate.train.xgboost.config import XGBoostConfig
from skate.train.xgboost.xgboost_checkpoint import XGBoostCheckpoint

if TYPE_CHECKING or _v2_enabled():
    from skate.train.v2.xgboost.xgboost_trainer import XGBoostTrainer
else:
    from skate.train.xgboost.xgboost_trainer import XGBoostTrainer

__all__ = [
    "RayTrainReportCallback",
    "XGBoostCheckpoint",
    "XGBoostConfig",
    "XGBoostTrainer",
]
