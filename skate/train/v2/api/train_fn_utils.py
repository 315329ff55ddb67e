"""What a training function calls, under another module path."""

from __future__ import annotations

from skate.train._functions import (
    get_all_reported_checkpoints,
    get_checkpoint,
    get_dataset_shard,
    report,
)
from skate.train.context import get_context
from skate.train.v2.api.preemption import get_preemption_info

__all__ = [
    "get_all_reported_checkpoints",
    "get_checkpoint",
    "get_context",
    "get_dataset_shard",
    "get_preemption_info",
    "report",
]
