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

    def __init__(self, config: Any = None) -> None:
        self.config = config or CheckpointConfig()
        self._kept: list[TrainingResult] = []
        self._newest: TrainingResult | None = None
        self._held: set[int] = set()

    @property
    def best(self) -> list[TrainingResult]:
        """The best `num_to_keep`, the worst of them first; without a score, the newest, the oldest of them first."""
        limit = self.config.num_to_keep
        return list(self._kept if limit is None else self._kept[-limit:])

    @property
    def kept(self) -> list[TrainingResult]:
        """All that are kept, the worst of them first; without a score, the oldest of them first."""
        return list(self._kept)

    @property
    def best_and_newest(self) -> list[TrainingResult]:
        """All that are kept, the newest of them last: registered again in this order, they are kept again."""
        rest = [kept for kept in self._kept if kept is not self._newest]
        return rest if self._newest is None else [*rest, self._newest]

    @property
    def newest(self) -> TrainingResult | None:
        """The one that was registered last."""
        return self._newest

    def load(self, kept: list[TrainingResult], newest: TrainingResult | None) -> None:
        """Begin with what another manager has kept.

        Args:
            kept: Its `kept`.
            newest: Its `newest`, one of these.
        """
        self._kept, self._newest = list(kept), newest

    def register(self, result: TrainingResult, hold: bool = False) -> list[TrainingResult]:
        """Take note of a new checkpoint.

        Args:
            result: The checkpoint with its metrics.
            hold: Whether to keep it in any case, until `release`: its metrics are not all there yet.

        Returns:
            Those that are no longer kept, to be deleted.
        """
        self._newest = result
        self._kept.append(result)
        if hold:
            self._held.add(id(result))
        return self._dropped()

    def release(self, result: TrainingResult) -> list[TrainingResult]:
        """A checkpoint that was held has all its metrics.

        Returns:
            Those that are no longer kept, to be deleted.
        """
        self._held.discard(id(result))
        return self._dropped()

    def _dropped(self) -> list[TrainingResult]:
        if self.config.checkpoint_score_attribute is not None:
            self._kept.sort(key=self._score)  # stable: of equal scores the newer is kept
        limit = self.config.num_to_keep
        if limit is None:
            return []
        dropped = [
            kept for kept in self._kept[:-limit] if kept is not self._newest and id(kept) not in self._held
        ]
        gone = {id(each) for each in dropped}
        self._kept = [kept for kept in self._kept if id(kept) not in gone]
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
