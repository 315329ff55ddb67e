"""What one trial or one training run ended with."""

from __future__ import annotations

import io
import json
import os
import pickle
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skate.air import constants as _names
from skate.air._checkpoint import Checkpoint
from skate.air.storage import Store, resolve

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "AUTO_RESULT_KEYS",
    "Result",
    "look_up",
    "read_progress",
    "read_rows",
]

AUTO_RESULT_KEYS = frozenset(
    {
        "training_iteration", "time_total_s", "episodes_total", "timesteps_total", "node_ip", "hostname", "pid",
        "time_this_iter_s", "timestamp", "date", "time_since_restore", "timesteps_since_restore",
        "iterations_since_restore", "config", "checkpoint_dir_name", "trial_id", "experiment_tag", "done",
        "should_checkpoint",
    }
)  # fmt: skip
"""Keys that a result gets without the user's doing; a repr leaves them out."""


class Result:
    """The outcome of a trial or a training run.

    Args:
        metrics: The last result that was reported, or None if there was none.
        checkpoint: The newest checkpoint, or None.
        error: What the trial or run failed with, or None.
        path: The directory of the trial or run on the storage file system.
        metrics_dataframe: All results that were reported, one a row; default: read from `path` when asked for.
        best_checkpoints: The checkpoints that were kept, with the metrics that came with each.
    """

    metrics: dict[str, Any] | None
    checkpoint: Checkpoint | None
    error: Exception | None
    path: str
    best_checkpoints: list[tuple[Checkpoint, dict[str, Any]]] | None

    def __init__(
        self,
        metrics: dict[str, Any] | None,
        checkpoint: Checkpoint | None,
        error: Exception | None,
        path: str,
        metrics_dataframe: pd.DataFrame | None = None,
        best_checkpoints: list[tuple[Checkpoint, dict[str, Any]]] | None = None,
        _storage_filesystem: Any = None,
    ) -> None:
        self.metrics = metrics
        self.checkpoint = checkpoint
        self.error = error
        self.path = path
        self.best_checkpoints = best_checkpoints
        self._metrics_dataframe = metrics_dataframe
        self._storage_filesystem = _storage_filesystem

    @property
    def metrics_dataframe(self) -> pd.DataFrame | None:
        """All results that were reported, one a row; without a row if there is none."""
        if self._metrics_dataframe is None and self.path:
            import pandas as pd

            found = read_progress(*resolve(self.path, self._storage_filesystem))
            self._metrics_dataframe = pd.DataFrame() if found is None else found
        return self._metrics_dataframe

    @property
    def config(self) -> dict[str, Any] | None:
        """The configuration that the trial ran with, or None if it reported nothing."""
        return self.metrics.get("config") if self.metrics else None

    @property
    def filesystem(self) -> Any:
        """The pyarrow file system on which `path` lies."""
        return self._store.filesystem

    @property
    def _store(self) -> Store:
        return resolve(self.path or ".", self._storage_filesystem)[0]

    def get_best_checkpoint(self, metric: str, mode: str) -> Checkpoint | None:
        """The best of the checkpoints that were kept.

        Args:
            metric: The metric to compare by; "a/b" is `metrics["a"]["b"]`.
            mode: "max" or "min".

        Returns:
            The checkpoint.

        Raises:
            ValueError: `mode` is neither.
            RuntimeError: no checkpoint was kept, or none came with the metric.
        """
        if not self.best_checkpoints:
            raise RuntimeError(f"No checkpoint exists in the trial directory! It is {self.path!r}.")
        if mode not in ("max", "min"):
            raise ValueError(f'Unsupported mode: {mode}. Please choose from ["min", "max"]!')
        found = [
            (checkpoint, value)
            for checkpoint, metrics in self.best_checkpoints
            if (value := look_up(metrics, metric)) is not None
        ]
        if not found:
            raise RuntimeError(
                f"Invalid metric name {metric}! You may choose from the following metrics: "
                f"{sorted(set().union(*(metrics for _, metrics in self.best_checkpoints)))}."
            )
        best = max if mode == "max" else min
        return best(found, key=lambda pair: pair[1])[0]

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], storage_filesystem: Any = None) -> Result:
        """Read the result of a trial from its directory.

        Args:
            path: The directory, or its URI.
            storage_filesystem: The file system on which it lies; default: found from the path.

        Returns:
            The result.

        Raises:
            RuntimeError: there is no such directory.
        """
        store, place = resolve(path, storage_filesystem)
        if not store.exists(place):
            raise RuntimeError(f"Trial folder {place} doesn't exist!")
        rows = read_rows(store, place)
        error = None
        if store.exists(f"{place}/{_names.EXPR_ERROR_PICKLE_FILE}"):
            error = pickle.loads(store.read(f"{place}/{_names.EXPR_ERROR_PICKLE_FILE}"))
        filesystem = None if store.is_local else store.filesystem
        names = [name for name in store.list_dir(place) if name.startswith("checkpoint_")]
        metrics_of = {row.get("checkpoint_dir_name"): row for row in rows}
        kept = [(Checkpoint(f"{place}/{name}", filesystem), metrics_of.get(name, {})) for name in names]
        return cls(
            metrics=rows[-1] if rows else {},
            checkpoint=kept[-1][0] if kept else None,
            error=error,
            path=place,
            best_checkpoints=kept,
            _storage_filesystem=filesystem,
        )

    def _shown(self) -> list[str]:
        parts = []
        if self.error is not None:
            parts.append(f"error={type(self.error).__name__!r}")
        if self.metrics is not None:
            own = {key: value for key, value in self.metrics.items() if key not in AUTO_RESULT_KEYS}
            parts.append(f"metrics={own!r}")
        parts += [f"path={self.path!r}", f"filesystem={self._store.type_name!r}"]
        parts.append(f"checkpoint={self.checkpoint!r}")
        return parts

    def __repr__(self) -> str:
        lines = ",\n  ".join(self._shown())
        return f"{type(self).__name__}(\n  {lines}\n)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        return (self.metrics, self.checkpoint, self.path) == (other.metrics, other.checkpoint, other.path)


def look_up(metrics: Mapping[str, Any], name: str) -> Any:
    """A metric by its name, or by the path "a/b" to it; None if it is not there."""
    if name in metrics:
        return metrics[name]
    value: Any = metrics
    for part in name.split("/"):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def read_rows(store: Store, path: str) -> list[dict[str, Any]]:
    """The results in a trial's result.json. A last line that a death cut short is left out."""
    file = f"{path}/{_names.EXPR_RESULT_FILE}"
    if not store.exists(file):
        return []
    lines = store.read(file).decode().splitlines()
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            if number != len(lines) - 1:
                raise
    return [row for row in rows if row]


def read_progress(store: Store, path: str) -> pd.DataFrame | None:
    """All results of a trial, one a row: from result.json, or else from progress.csv."""
    import pandas as pd

    rows = read_rows(store, path)
    if rows:
        return pd.json_normalize(rows, sep="/")
    file = f"{path}/{_names.EXPR_PROGRESS_FILE}"
    if store.exists(file) and (data := store.read(file)):
        return pd.read_csv(io.BytesIO(data))
    return None
