"""The checkpoints of a run: from a report, over the workers' files, to the list of those that are kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from skate.air.checkpoint_manager import CheckpointManager, TrainingResult
from skate.train.v2.api.reported_checkpoint import ReportedCheckpoint
from skate.train.v2.api.result import Result

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
    from skate.train._run.storage import RunStorage

__all__ = [
    "KeptCheckpoints",
    "Report",
]


@dataclass
class Report:
    """What all ranks have reported together.

    Args:
        metrics: What each has reported.
        name: The name of the checkpoint's directory, or None if there is no checkpoint.
        missing: How many ranks have not brought their files yet.
        checkpoint: The checkpoint, once it is whole.
    """

    metrics: list[dict[str, Any]]
    name: str | None
    missing: int
    checkpoint: Checkpoint | None = None


class KeptCheckpoints:
    """Follows reports in their order. A checkpoint counts when all workers have brought their files.

    Args:
        storage: Where the run is kept.
        config: Which checkpoints are kept.
    """

    def __init__(self, storage: RunStorage, config: Any) -> None:
        self._storage = storage
        self._manager = CheckpointManager(config)
        self._reports: list[Report] = []

    @property
    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole."""
        newest = self._manager.newest
        return newest.checkpoint if newest is not None else None

    def load(self) -> None:
        """Go on from what an earlier run of the same name has kept."""
        snapshot = self._storage.read_snapshot()
        if snapshot is None:
            return
        kept = list(snapshot["checkpoint_results"])
        latest = snapshot["latest_checkpoint_result"]
        if latest in kept:
            kept.remove(latest)
        for entry in [*kept, *([latest] if latest else [])]:
            checkpoint = self._storage.checkpoint(entry["checkpoint_dir_name"])
            self._manager.register(TrainingResult(checkpoint, entry["metrics"]))

    def forget_pending(self) -> None:
        """A new attempt begins: what the last one left half done will not come."""
        self._reports.clear()
        self._storage.discard_partial()

    def report(
        self, metrics: list[dict[str, Any]], bringing: int, name: str | None, in_place: Checkpoint | None
    ) -> str:
        """Every rank has reported.

        Args:
            metrics: What each has reported.
            bringing: How many of them bring files.
            name: The directory's name that was asked for.
            in_place: The checkpoint, if it is not to be copied.

        Returns:
            The name of the checkpoint's directory.
        """
        name = name or f"checkpoint_{datetime.now().astimezone():%Y-%m-%d_%H-%M-%S.%f}"
        missing = 0 if in_place is not None else bringing
        self._reports.append(Report(metrics, name if bringing else None, missing, in_place))
        return name

    def uploaded(self, name: str, checkpoint: Checkpoint | None) -> None:
        """A worker has brought its files.

        Args:
            name: The name of the checkpoint's directory.
            checkpoint: The checkpoint, if the worker has put it elsewhere.
        """
        report = next(report for report in self._reports if report.name == name and report.missing)
        report.missing -= 1
        if checkpoint is not None:
            report.checkpoint = checkpoint

    def take_committed(self) -> list[Report]:
        """Keep what is whole, in the order of reports.

        Returns:
            The reports that are complete.
        """
        done = []
        while self._reports and not self._reports[0].missing:
            report = self._reports.pop(0)
            if report.name is not None:
                self._keep(report, report.name)
            done.append(report)
        return done

    def _keep(self, report: Report, name: str) -> None:
        if report.checkpoint is None:
            self._storage.commit(name)
            report.checkpoint = self._storage.checkpoint(name)
        dropped = self._manager.register(TrainingResult(report.checkpoint, report.metrics[0]))
        self._write()
        for result in dropped:
            assert result.checkpoint is not None
            result.checkpoint._store.delete(result.checkpoint.path)

    def _write(self) -> None:
        def entry(result: TrainingResult) -> dict[str, Any]:
            assert result.checkpoint is not None
            name = result.checkpoint.path.removeprefix(self._storage.path + "/")
            return {"version": 0, "checkpoint_dir_name": name, "metrics": result.metrics}

        newest = self._manager.newest
        self._storage.write_snapshot(
            {
                "checkpoint_results": [entry(result) for result in self._manager.best_and_newest],
                "latest_checkpoint_result": entry(newest) if newest is not None else None,
            }
        )

    def listed(self) -> list[ReportedCheckpoint]:
        """What `get_all_reported_checkpoints` answers."""
        return [
            ReportedCheckpoint(result.checkpoint, result.metrics)
            for result in self._manager.best_and_newest
            if result.checkpoint is not None
        ]

    def result(self, return_value: Any) -> Result:
        """What the run has ended with."""
        newest = self._manager.newest
        best = [
            (result.checkpoint, result.metrics)
            for result in self._manager.best_and_newest
            if result.checkpoint is not None
        ]
        store = self._storage.store
        return Result(
            metrics=newest.metrics if newest is not None else None,
            checkpoint=newest.checkpoint if newest is not None else None,
            error=None,
            path=self._storage.path,
            metrics_dataframe=_frame(best),
            best_checkpoints=best,
            _storage_filesystem=None if store.is_local else store.filesystem,
            return_value=return_value,
        )


def _frame(best: list[tuple[Checkpoint, dict[str, Any]]]) -> Any:
    if not best:
        return None
    import pandas as pd

    return pd.DataFrame([metrics for _, metrics in best])
