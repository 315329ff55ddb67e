"""Which checkpoints of a trial or a run are kept. Decides only: who holds the files deletes what it is told."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skate.air.config import CheckpointConfig

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint

__all__ = [
    "CheckpointManager",
    "TrainingResult",
]


@dataclass
class TrainingResult:
    """Metrics, and the checkpoint that came with them."""

    checkpoint: Checkpoint | None
    metrics: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"TrainingResult(checkpoint={self.checkpoint}, metrics={self.metrics})"


class CheckpointManager:
    """Keeps the best `num_to_keep` checkpoints, and always the newest.

    Args:
        config: How many are kept, and by which score.
    """

    def __init__(self, config: CheckpointConfig | None = None) -> None:
        self.config = config or CheckpointConfig()
        self._kept: list[TrainingResult] = []
        self._newest: TrainingResult | None = None

    @property
    def best(self) -> list[TrainingResult]:
        """The best `num_to_keep`, the worst of them first; without a score, the newest, the oldest of them first."""
        limit = self.config.num_to_keep
        return list(self._kept if limit is None else self._kept[-limit:])

    @property
    def best_and_newest(self) -> list[TrainingResult]:
        """All that are kept, the newest of them last: registered again in this order, they are kept again."""
        rest = [kept for kept in self._kept if kept is not self._newest]
        return rest if self._newest is None else [*rest, self._newest]

    @property
    def newest(self) -> TrainingResult | None:
        """The one that was registered last."""
        return self._newest

    def register(self, result: TrainingResult) -> list[TrainingResult]:
        """Take note of a new checkpoint.

        Args:
            result: The checkpoint with its metrics.

        Returns:
            Those that are no longer kept, to be deleted.
        """
        self._newest = result
        self._kept.append(result)
        if self.config.checkpoint_score_attribute is not None:
            self._kept.sort(key=self._score)  # stable: of equal scores the newer is kept
        limit = self.config.num_to_keep
        if limit is None:
            return []
        dropped = [kept for kept in self._kept[:-limit] if kept is not result]
        self._kept = [kept for kept in self._kept if not any(kept is one for one in dropped)]
        return dropped

    def _score(self, result: TrainingResult) -> tuple[bool, float]:
        """Rank of a result; one without a usable score is worse than any with."""
        value: Any = result.metrics
        attribute = self.config.checkpoint_score_attribute or ""
        if isinstance(value, dict) and attribute in value:
            value = value[attribute]
        else:
            for part in attribute.split("/"):
                value = value.get(part) if isinstance(value, dict) else None
        try:
            number = float(value)
        except (TypeError, ValueError):
            return (False, 0.0)
        if math.isnan(number):
            return (False, 0.0)
        return (True, number if self.config.checkpoint_score_order == "max" else -number)
