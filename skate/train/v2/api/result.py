"""What a training run has ended with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from skate.air import result as _shared
from skate.air.storage import resolve

if TYPE_CHECKING:
    import pandas as pd

    from skate.air._checkpoint import Checkpoint

__all__ = [
    "Result",
]


class Result(_shared.Result):
    """The outcome of a training run.

    Args:
        metrics: What rank 0 reported with the newest checkpoint; None if no checkpoint was reported.
        checkpoint: The newest checkpoint, or None.
        error: What the run failed with, or None.
        path: The run's directory.
        metrics_dataframe: The metrics of the checkpoints that were kept, one a row.
        best_checkpoints: The checkpoints that were kept, with the metrics that came with each.
        return_value: What the training function has returned on rank 0.
    """

    return_value: Any = None

    def __init__(
        self,
        metrics: dict[str, Any] | None,
        checkpoint: Checkpoint | None,
        error: Exception | None,
        path: str,
        metrics_dataframe: pd.DataFrame | None = None,
        best_checkpoints: list[tuple[Checkpoint, dict[str, Any]]] | None = None,
        _storage_filesystem: Any = None,
        return_value: Any = None,
    ) -> None:
        super().__init__(
            metrics, checkpoint, error, path, metrics_dataframe, best_checkpoints, _storage_filesystem
        )
        self.return_value = return_value

    @property
    def metrics_dataframe(self) -> pd.DataFrame | None:
        """The metrics of the checkpoints that were kept, one a row; None if there is none."""
        return self._metrics_dataframe

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], storage_filesystem: Any = None) -> Result:
        """Read the result of a run from its directory.

        Args:
            path: The directory, or its URI.
            storage_filesystem: The file system on which it lies; default: found from the path.

        Returns:
            The result.

        Raises:
            RuntimeError: there is no such directory, or no run has been kept there.
        """
        from skate.air.config import CheckpointConfig
        from skate.train._run.checkpoints import KeptCheckpoints
        from skate.train._run.storage import SNAPSHOT, RunStorage

        store, place = resolve(path, storage_filesystem)
        if not store.exists(place):
            raise RuntimeError(f"Experiment folder {place} doesn't exist.")
        if not store.exists(f"{place}/{SNAPSHOT}"):
            raise RuntimeError(
                f"Experiment folder {place} has no {SNAPSHOT}: no run has kept a checkpoint there."
            )
        root, name = os.path.split(place)
        storage = RunStorage(root, name, None if store.is_local else store.filesystem)
        kept = KeptCheckpoints(storage, CheckpointConfig())
        kept.load()
        return kept.result(None)
