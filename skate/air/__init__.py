"""What Tune and Train share: checkpoints, storage, the configuration of a run, results, and the session of a worker.

The map:

    config.py              RunConfig, CheckpointConfig, FailureConfig, ScalingConfig, SyncConfig
    _checkpoint.py         Checkpoint: a directory of files, wherever it lies
    storage.py             the file systems that a run can be kept on
    checkpoint_manager.py  which checkpoints to keep (pure)
    result.py              Result: what one trial or one training run ended with
    session.py             the session that the code of a trial or a worker runs in
    constants.py           names of files and of keys
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
    from skate.air.config import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig, SyncConfig
    from skate.air.data_batch_type import DataBatchType
    from skate.air.execution import AcquiredResources, ResourceRequest
    from skate.air.result import Result

_WHERE = {
    "DataBatchType": "skate.air.data_batch_type",
    "AcquiredResources": "skate.air.execution",
    "Checkpoint": "skate.air._checkpoint",
    "CheckpointConfig": "skate.air.config",
    "FailureConfig": "skate.air.config",
    "ResourceRequest": "skate.air.execution",
    "Result": "skate.air.result",
    "RunConfig": "skate.air.config",
    "ScalingConfig": "skate.air.config",
    "SyncConfig": "skate.air.config",
}

__all__ = [
    "AcquiredResources",
    "Checkpoint",
    "CheckpointConfig",
    "DataBatchType",
    "FailureConfig",
    "ResourceRequest",
    "Result",
    "RunConfig",
    "ScalingConfig",
    "SyncConfig",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    if name in ("session", "config", "constants", "result", "integrations", "execution"):
        return importlib.import_module(f"skate.air.{name}")
    raise AttributeError(f"module 'skate.air' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
