"""Writes that go on after an interruption: `CheckpointConfig`, for `DataContext.checkpoint_config`."""

from skate.data.checkpoint.checkpoint_filter import (
    CheckpointFilter,
    CheckpointManager,
    IdColumnCheckpointManager,
    NumpyArrayBasedCheckpointFilter,
)
from skate.data.checkpoint.interfaces import CheckpointBackend, CheckpointConfig

__all__ = [
    "CheckpointBackend",
    "CheckpointConfig",
    "CheckpointFilter",
    "CheckpointManager",
    "IdColumnCheckpointManager",
    "NumpyArrayBasedCheckpointFilter",
]
