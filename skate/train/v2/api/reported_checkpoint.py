"""A checkpoint that a run has kept."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint

__all__ = [
    "ReportedCheckpoint",
    "ReportedCheckpointStatus",
]


class ReportedCheckpointStatus(Enum):
    """How far a checkpoint has come."""

    COMMITTED = "COMMITTED"
    PENDING_VALIDATION = "PENDING_VALIDATION"
    VALIDATED = "VALIDATED"
    VALIDATION_TIMEOUT = "VALIDATION_TIMEOUT"
    VALIDATION_FAILED = "VALIDATION_FAILED"


@dataclass
class ReportedCheckpoint:
    """A checkpoint with the metrics that came with it.

    Args:
        checkpoint: The checkpoint.
        metrics: What rank 0 reported.
        status: How far it has come.
    """

    checkpoint: Checkpoint
    metrics: dict[str, Any]
    status: ReportedCheckpointStatus = ReportedCheckpointStatus.COMMITTED
