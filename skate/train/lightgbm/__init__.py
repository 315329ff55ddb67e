"""Training with LightGBM: `pip install lightgbm`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skate.train._generation import v2_enabled as _v2_enabled
from skate.train.lightgbm._frames import normalize_pandas_for_lightgbm
from skate.train.lightgbm.callback import RayTrainReportCallback
from skate.train.lightgbm.config import LightGBMConfig, get_network_params
from skate.train.lightgbm.lightgbm_checkpoint import LightGBMCheckpoint

if TYPE_CHECKING or _v2_enabled():
    from skate.train.v2.lightgbm.lightgbm_trainer import LightGBMTrainer
else:
    from skate.train.lightgbm.lightgbm_trainer import LightGBMTrainer

__all__ = [
    "LightGBMCheckpoint",
    "LightGBMConfig",
    "LightGBMTrainer",
    "RayTrainReportCallback",
    "get_network_params",
    "normalize_pandas_for_lightgbm",
]
