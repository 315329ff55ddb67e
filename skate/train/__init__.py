"""Training on several workers.

v2/api/        the public classes: DataParallelTrainer, Result, errors, callbacks
torch/         TorchTrainer, and what a training loop of PyTorch needs; lightning/, huggingface/ stand on it
xgboost/, lightgbm/, tensorflow/, v2/jax/  trainers of other frameworks
collective/    small values and barriers between workers
backend.py     how workers are prepared for a framework
context.py     what a training function can ask about its run
_config.py     how a run is configured
_data_config.py  how data sets are split
_functions.py  what a training function calls
_run/          how a run is driven
_generation.py  whether a program uses the first generation of the API: base_trainer.py, data_parallel_trainer.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skate.air._checkpoint import Checkpoint
from skate.air.config import SyncConfig
from skate.air.constants import TRAIN_DATASET_KEY
from skate.train._config import LoggingConfig
from skate.train._data_config import DataConfig
from skate.train._functions import (
    get_all_reported_checkpoints,
    get_checkpoint,
    get_dataset_shard,
    report,
)
from skate.train._generation import v2_enabled as _v2_enabled
from skate.train.backend import BackendConfig
from skate.train.context import TrainContext, get_context
from skate.train.v2.api.callback import UserCallback
from skate.train.v2.api.exceptions import (
    ControllerError,
    NCCLHangError,
    PreemptionError,
    WorkerGroupError,
)
from skate.train.v2.api.preemption import PreemptionInfo, get_preemption_info
from skate.train.v2.api.report_config import CheckpointConsistencyMode, CheckpointUploadMode
from skate.train.v2.api.reported_checkpoint import ReportedCheckpoint, ReportedCheckpointStatus
from skate.train.v2.api.validation_config import ValidationConfig, ValidationFn, ValidationTaskConfig

if TYPE_CHECKING or _v2_enabled():
    from skate.train._config import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from skate.train.v2.api.exceptions import TrainingFailedError
    from skate.train.v2.api.result import Result
else:
    from skate.air.config import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from skate.air.result import Result
    from skate.train.base_trainer import TrainingFailedError

__all__ = [
    "TRAIN_DATASET_KEY",
    "BackendConfig",
    "Checkpoint",
    "CheckpointConfig",
    "CheckpointConsistencyMode",
    "CheckpointUploadMode",
    "ControllerError",
    "DataConfig",
    "FailureConfig",
    "LoggingConfig",
    "NCCLHangError",
    "PreemptionError",
    "PreemptionInfo",
    "ReportedCheckpoint",
    "ReportedCheckpointStatus",
    "Result",
    "RunConfig",
    "ScalingConfig",
    "SyncConfig",
    "TrainContext",
    "TrainingFailedError",
    "UserCallback",
    "ValidationConfig",
    "ValidationFn",
    "ValidationTaskConfig",
    "WorkerGroupError",
    "get_all_reported_checkpoints",
    "get_checkpoint",
    "get_context",
    "get_dataset_shard",
    "get_preemption_info",
    "report",
]
