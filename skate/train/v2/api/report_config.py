"""Choices of how a checkpoint is kept, and which of them are listed."""

from __future__ import annotations

from enum import Enum

__all__ = [
    "CheckpointConsistencyMode",
    "CheckpointUploadMode",
]


class CheckpointUploadMode(Enum):
    """When a checkpoint that is reported is copied to the run's storage."""

    ASYNC = "ASYNC"
    """In the background, while training goes on."""
    SYNC = "SYNC"
    """Before `report` returns."""
    NO_UPLOAD = "NO_UPLOAD"
    """Never: it lies on storage that outlives the worker already."""

    def default_delete_local_checkpoint_after_upload(self) -> bool:
        """Whether the local directory is removed after the copy if nothing is said."""
        return self is CheckpointUploadMode.ASYNC


class CheckpointConsistencyMode(Enum):
    """Which checkpoints `get_all_reported_checkpoints` waits for."""

    COMMITTED = "COMMITTED"
    """Those that are kept on storage."""
    VALIDATED = "VALIDATED"
    """Those whose validation has ended, too."""
