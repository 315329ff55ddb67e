"""Training on several workers. For now: what a training function shares with a trial of `skate.tune`."""

from __future__ import annotations

from skate.air._checkpoint import Checkpoint
from skate.air.config import SyncConfig
from skate.air.result import Result
from skate.train._config import CheckpointConfig, FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from skate.train._functions import get_checkpoint, get_context, report
from skate.train.context import TrainContext

__all__ = [
    "Checkpoint",
    "CheckpointConfig",
    "FailureConfig",
    "LoggingConfig",
    "Result",
    "RunConfig",
    "ScalingConfig",
    "SyncConfig",
    "TrainContext",
    "get_checkpoint",
    "get_context",
    "report",
]
