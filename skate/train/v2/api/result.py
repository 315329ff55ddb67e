"""What a training run has ended with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

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
        path: The run's directory; None if it ran in the program's own process.
        metrics_dataframe: The metrics of the checkpoints that were kept, one a row.
        best_checkpoints: The checkpoints that were kept, with the metrics that came with each.
        return_value: What the training function has returned on rank 0.
    """

    return_value: Any = None
    _history: list[dict[str, Any]] | None = None

    def __init__(
        self,
        metrics: dict[str, Any] | None,
        checkpoint: Checkpoint | None,
        error: Exception | None,
        path: str | None,
        metrics_dataframe: pd.DataFrame | None = None,
        best_checkpoints: list[tuple[Checkpoint, dict[str, Any]]] | None = None,
        _storage_filesystem: Any = None,
        return_value: Any = None,
    ) -> None:
        super().__init__(
            metrics, checkpoint, error, path or "", metrics_dataframe, best_checkpoints, _storage_filesystem
        )
        self.path = path  # type: ignore[assignment]  # a run in the program's own process has none
        self.return_value = return_value

    @property
    def config(self) -> NoReturn:
        """No longer there: it is what a trial ran with.

        Raises:
            DeprecationWarning: always.
        """
        raise DeprecationWarning(
            "The `config` property for a `ray.train.Result` is deprecated: it is what a trial of Tune ran with. A training "
            "run's is what its trainer was given as `train_loop_config`."
        )

    def __repr__(self) -> str:
        names = (
            "metrics",
            "checkpoint",
            "error",
            "path",
            "metrics_dataframe",
            "best_checkpoints",
            "return_value",
        )
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__name__}({shown})"

    @property
    def metrics_dataframe(self) -> pd.DataFrame | None:
        """The metrics of the checkpoints that were kept, one a row; None if there is none."""
        return self._metrics_dataframe

    def plot(self, metrics: str | list[str] | None = None, ax: Any = None) -> Any:
        """Draw how metrics went, from report to report, as rank 0 has reported them.

        Args:
            metrics: Their names; default: all that are numbers.
            ax: The axes of Matplotlib to draw on; default: new ones.

        Returns:
            The axes.

        Raises:
            ImportError: Matplotlib is not installed.
            ValueError: nothing was reported under these names.
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError("Result.plot needs Matplotlib: pip install matplotlib") from error
        rows = self._history or [metrics for _, metrics in self.best_checkpoints or []]
        names = [metrics] if isinstance(metrics, str) else metrics
        if names is None:
            found = {name for row in rows for name, value in row.items() if isinstance(value, (int, float))}
            names = sorted(found)
        if not any(name in row for row in rows for name in names):
            raise ValueError(f"there is nothing to draw: {len(rows)} reports, none of which has {names}.")
        ax = plt.subplots()[1] if ax is None else ax
        for name in names:
            points = [(number, row[name]) for number, row in enumerate(rows) if name in row]
            ax.plot(*zip(*points, strict=True), label=name)
        ax.set_xlabel("report")
        ax.legend()
        return ax

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
                f"Failed to restore the Result object: {SNAPSHOT} doesn't exist in the experiment folder {place}: no run has kept a "
                "checkpoint there."
            )
        root, name = os.path.split(place)
        storage = RunStorage(root, name, None if store.is_local else store.filesystem)
        kept = KeptCheckpoints(storage, CheckpointConfig())
        kept.load()
        return kept.result(best_only=False)
