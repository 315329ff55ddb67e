"""Training with XGBoost: `pip install xgboost`."""

from __future__ import annotations

from skate.train.xgboost.callback import RayTrainReportCallback
from skate.train.xgboost.config import XGBoostConfig
from skate.train.xgboost.xgboost_checkpoint import XGBoostCheckpoint
from skate.train.xgboost.xgboost_trainer import XGBoostTrainer

__all__ = [
    "RayTrainReportCallback",
    "XGBoostCheckpoint",
    "XGBoostConfig",
    "XGBoostTrainer",
]
