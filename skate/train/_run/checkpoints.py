"""The checkpoints of a run: from a report, over the workers' files, to the list of those that are kept."""

from __future__ import annotations

import pickle
from concurrent.futures import Future, wait
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from skate.air.checkpoint_manager import CheckpointManager, TrainingResult
from skate.train._run.storage import Background
from skate.train.v2.api.reported_checkpoint import ReportedCheckpoint, ReportedCheckpointStatus
from skate.train.v2.api.result import Result

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
    from skate.train._run.session import ReportValue
    from skate.train._run.storage import RunStorage
    from skate.train.v2.api.validation_config import ValidationTaskConfig

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
        validation: Whether, or how, it is to be validated.
        result: The checkpoint with the metrics of rank 0, once it is kept.
        work: What the storage does to keep it.
        given_up: Whether a rank has failed to bring its files.
    """

    metrics: list[dict[str, Any]]
    name: str | None
    missing: int
    checkpoint: Checkpoint | None = None
    validation: bool | ValidationTaskConfig = False
    result: TrainingResult | None = None
    work: Future[None] | None = None
    given_up: bool = False


class KeptCheckpoints:
    """Follows reports in their order. A checkpoint counts when all workers have brought their files.

    What takes its time on the storage is done in a thread of its own, so that no worker waits for it in a report of its own.

    Args:
        storage: Where the run is kept.
        config: Which checkpoints are kept.
    """

    def __init__(self, storage: RunStorage, config: Any) -> None:
        self._storage = storage
        self._manager = CheckpointManager(config)
        self._reports: list[Report] = []
        self._status: dict[int, ReportedCheckpointStatus] = {}
        self._background = Background()
        self.history: list[dict[str, Any]] = []

    @property
    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole."""
        newest = self._manager.newest
        return newest.checkpoint if newest is not None else None

    @property
    def pending(self) -> bool:
        """Whether files of a report are still to come."""
        return bool(self._reports)

    @property
    def busy(self) -> bool:
        """Whether the storage is at work on a report, which `take_committed` gives afterwards."""
        return bool(self._reports) and self._reports[0].work is not None

    def load(self) -> None:
        """Go on from what an earlier run of the same name has kept."""
        snapshot = self._storage.read_snapshot()
        if snapshot is None:
            return
        kept, newest = [], None
        for entry in snapshot["checkpoint_results"]:
            checkpoint = self._storage.checkpoint(entry["checkpoint_dir_name"])
            kept.append(TrainingResult(checkpoint, entry["metrics"]))
            self._status[id(kept[-1])] = ReportedCheckpointStatus.COMMITTED
            if entry == snapshot["latest_checkpoint_result"]:
                newest = kept[-1]
        self._manager.load(kept, newest)

    def forget_pending(self) -> None:
        """A new attempt begins: what the last one left half done will not come."""
        self._background.finish()
        self._reports.clear()
        self._storage.discard_partial()

    def report(self, values: list[ReportValue]) -> str:
        """Every rank has reported.

        Args:
            values: What each brings, in the order of ranks.

        Returns:
            The name of the checkpoint's directory.

        Raises:
            ValueError: some ranks' files are to be copied, others' not.
        """
        metrics = [pickle.loads(value.metrics) for value in values]
        bringing = sum(value.has_checkpoint for value in values)
        in_place = next((value.in_place for value in values if value.in_place is not None), None)
        if in_place is not None and any(value.has_checkpoint and value.in_place is None for value in values):
            raise ValueError(
                "report(checkpoint_upload_mode=NO_UPLOAD) must be said on every rank that brings a checkpoint."
            )
        name = next((value.dir_name for value in values if value.dir_name is not None), None)
        name = name or f"checkpoint_{datetime.now().astimezone():%Y-%m-%d_%H-%M-%S.%f}"
        validation = next((value.validation for value in values if value.validation), False)
        missing = 0 if in_place is not None else bringing
        self._reports.append(Report(metrics, name if bringing else None, missing, in_place, validation))
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

    def given_up(self, name: str) -> None:
        """A worker has not brought its files, and will not: what was reported is kept without a checkpoint.

        Args:
            name: The name of the checkpoint's directory.
        """
        report = next(report for report in self._reports if report.name == name and report.missing)
        report.missing -= 1
        report.given_up = True

    def take_committed(self, patience_s: float | None = None) -> list[Report]:
        """Keep what is whole, in the order of reports.

        Args:
            patience_s: Seconds to wait for the storage at most; None: as long as it takes.

        Returns:
            The reports that are complete, and kept.
        """
        done = []
        while self._reports and not self._reports[0].missing:
            report = self._reports[0]
            if report.name is not None and report.work is None:
                report.work = self._keep_or_drop(report, report.name)
            if report.work is not None:
                if wait([report.work], patience_s).not_done:
                    break
                report.work.result()
            self._reports.pop(0)
            self.history.append(report.metrics[0])
            done.append(report)
        return done

    def _keep_or_drop(self, report: Report, name: str) -> Future[None]:
        if report.given_up:
            return self._background.do(self._storage.discard, name)
        return self._keep(report, name)

    def _keep(self, report: Report, name: str) -> Future[None]:
        is_here = report.checkpoint is None
        report.checkpoint = report.checkpoint or self._storage.checkpoint(name)
        report.result = TrainingResult(report.checkpoint, dict(report.metrics[0]))
        dropped = self._register(report.result, hold=bool(report.validation))
        return self._background.do(
            self._record, name if is_here else None, self._snapshot(), self._gone(dropped)
        )

    def _record(self, name: str | None, snapshot: dict[str, Any], gone: list[Checkpoint]) -> None:
        """In the thread: give a checkpoint its name, write the list, and only then delete."""
        if name is not None:
            self._storage.commit(name)
        self._storage.write_snapshot(snapshot)
        for checkpoint in gone:
            checkpoint._store.delete(checkpoint.path)

    def _register(self, result: TrainingResult, hold: bool = False) -> list[TrainingResult]:
        status = ReportedCheckpointStatus.PENDING_VALIDATION if hold else ReportedCheckpointStatus.COMMITTED
        self._status[id(result)] = status
        return self._manager.register(result, hold)

    def validated(
        self, result: TrainingResult, metrics: dict[str, Any], status: ReportedCheckpointStatus
    ) -> None:
        """The validation of a checkpoint has ended.

        Args:
            result: The checkpoint.
            metrics: What it has found.
            status: How it has ended.
        """
        result.metrics.update(metrics)
        self._status[id(result)] = status
        dropped = self._manager.release(result)
        self._background.do(self._record, None, self._snapshot(), self._gone(dropped))

    def _gone(self, dropped: list[TrainingResult]) -> list[Checkpoint]:
        """What is to be deleted of what is no longer kept: not a directory that was reported again."""
        still = [kept.checkpoint for kept in self._manager.kept]
        for result in dropped:
            del self._status[id(result)]
        checkpoints = [result.checkpoint for result in dropped if result.checkpoint not in still]
        return [checkpoint for checkpoint in checkpoints if checkpoint is not None]

    def _snapshot(self) -> dict[str, Any]:
        def entry(result: TrainingResult) -> dict[str, Any]:
            assert result.checkpoint is not None
            name = result.checkpoint.path.removeprefix(self._storage.path + "/")
            return {"version": 0, "checkpoint_dir_name": name, "metrics": dict(result.metrics)}

        newest = self._manager.newest
        return {
            "checkpoint_results": [entry(result) for result in self._manager.kept],
            "latest_checkpoint_result": entry(newest) if newest is not None else None,
        }

    def settle(self) -> None:
        """Wait for the storage, and raise what it has failed with."""
        self._background.finish()

    def close(self) -> None:
        """Wait for the storage, and end its thread."""
        self._background.close()

    def listed(self) -> list[ReportedCheckpoint]:
        """What `get_all_reported_checkpoints` answers: all that are kept, the worst first; without a score, the oldest."""
        return [
            ReportedCheckpoint(result.checkpoint, dict(result.metrics), self._status[id(result)])
            for result in self._manager.kept
            if result.checkpoint is not None
        ]

    def result(self, return_value: Any = None, best_only: bool = True) -> Result:
        """What the run has ended with.

        Args:
            return_value: What the training function has returned on rank 0.
            best_only: Whether the newest is left out of the best ones where it is kept for being the newest alone.
        """
        newest = self._manager.newest
        chosen = self._manager.best if best_only else self._manager.kept
        best = [(each.checkpoint, each.metrics) for each in chosen if each.checkpoint is not None]
        store = self._storage.store
        result = Result(
            metrics=newest.metrics if newest is not None else None,
            checkpoint=newest.checkpoint if newest is not None else None,
            error=None,
            path=self._storage.path,
            metrics_dataframe=_frame(best),
            best_checkpoints=best,
            _storage_filesystem=None if store.is_local else store.filesystem,
            return_value=return_value,
        )
        result._history = self.history
        return result


def _frame(best: list[tuple[Checkpoint, dict[str, Any]]]) -> Any:
    if not best:
        return None
    import pandas as pd

    return pd.DataFrame([metrics for _, metrics in best])
