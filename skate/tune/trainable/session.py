"""The session that a function trainable runs in."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.air._checkpoint import Checkpoint
from skate.air.checkpoint_manager import TrainingResult
from skate.air.session import Session

if TYPE_CHECKING:
    from skate.tune.trainable.facts import TrialFacts, TrialStorage

__all__ = [
    "TrialSession",
]


class TrialSession(Session):
    """Hands what a function reports to whoever runs it, and keeps its checkpoints.

    Args:
        facts: What is known about the trial; None outside of one.
        storage: Where checkpoints are kept; None outside of a trial.
        checkpoint: The one to go on from.
        hand_over: Called with each result; it returns when the function may go on.
    """

    def __init__(
        self,
        facts: TrialFacts | None,
        storage: TrialStorage | None,
        checkpoint: Checkpoint | None,
        hand_over: Callable[[dict[str, Any]], None],
    ) -> None:
        self._storage = storage
        self._checkpoint = checkpoint
        self._hand_over = hand_over
        self.saved: TrainingResult | None = None
        self.storage = storage
        if facts is not None:
            self.experiment_name = facts.experiment_name
            self.trial_name = facts.trial_name
            self.trial_id = facts.trial_id
            self.trial_resources = facts.resources
            self.trial_dir = storage.path if storage is not None else facts.directory

    def report(self, metrics: dict[str, Any], checkpoint: Checkpoint | None = None, **options: Any) -> None:
        """Hand over metrics, and keep the checkpoint that comes with them.

        Args:
            metrics: Values by name.
            checkpoint: What to keep.
            **options: Accepted from functions written for Train.

        Raises:
            TypeError: the metrics are no dictionary, or the checkpoint is none.
        """
        if not isinstance(metrics, dict):
            raise TypeError(
                f"report() takes a dictionary of metrics, not {type(metrics).__name__}: {metrics!r}. Write "
                'report({"score": value}).'
            )
        if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
            raise TypeError(
                f"report(checkpoint=…) takes a Checkpoint, not {type(checkpoint).__name__}: make one with "
                "Checkpoint.from_directory(path)."
            )
        kept = checkpoint
        if checkpoint is not None and self._storage is not None:
            kept = self._storage.persist(checkpoint)
            if self.metadata:
                kept.set_metadata({**self.metadata, **kept.get_metadata()})
        self.report_kept(metrics, kept)

    def report_kept(self, metrics: dict[str, Any], checkpoint: Checkpoint | None) -> None:
        """Hand over metrics, and a checkpoint that is where the trial keeps it, under the name that was given last.

        Args:
            metrics: Values by name.
            checkpoint: The checkpoint.
        """
        result = dict(metrics)
        result["timestamp"] = int(time.time())
        result["checkpoint_dir_name"] = None
        if checkpoint is not None:
            self._checkpoint = checkpoint
            if self._storage is not None:
                result["checkpoint_dir_name"] = self._storage.last_name
            result["should_checkpoint"] = True
            self.saved = TrainingResult(checkpoint, result)
        self._hand_over(result)

    def get_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint of the trial."""
        return self._checkpoint
