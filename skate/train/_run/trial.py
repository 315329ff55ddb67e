"""The workers of a run that is a trial of Tune: Tune keeps its checkpoints, and starts it again when it fails."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from skate.air.checkpoint_manager import TrainingResult
from skate.train._run.checkpoints import KeptCheckpoints, Report
from skate.train._run.controller import Controller, RunContext
from skate.train._run.group import WorkerGroup
from skate.train._run.session import ReportValue, TrialNames
from skate.train._run.storage import RunStorage
from skate.train.v2.api.exceptions import ControllerError, WorkerGroupError
from skate.util.placement_group import get_current_placement_group

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
    from skate.tune.trainable.facts import TrialStorage
    from skate.tune.trainable.session import TrialSession

__all__ = ["TrialRun"]


class _TrialCheckpoints(KeptCheckpoints):
    """Puts checkpoints together in the trial's directory, under the trial's numbers, and keeps no list of them."""

    def __init__(
        self, storage: RunStorage, config: Any, numbers: TrialStorage, metadata: dict[str, Any]
    ) -> None:
        super().__init__(storage, config)
        self._numbers, self._metadata = numbers, metadata

    def report(self, values: list[ReportValue]) -> str:
        """Every rank has reported."""
        if any(value.has_checkpoint for value in values):
            name = self._numbers.next_name()
            values = [dataclasses.replace(value, dir_name=name) for value in values]
        return super().report(values)

    def _keep(self, report: Report, name: str) -> Future[None]:
        is_here = report.checkpoint is None
        report.checkpoint = report.checkpoint or self._storage.checkpoint(name)
        report.result = TrainingResult(report.checkpoint, report.metrics[0])
        return self._background.do(self._commit, name if is_here else None, report.checkpoint)

    def _commit(self, name: str | None, checkpoint: Checkpoint) -> None:
        """In the thread: give a checkpoint its name, and what is kept with every one."""
        if name is not None:
            self._storage.commit(name)
        if self._metadata:
            checkpoint.set_metadata({**self._metadata, **checkpoint.get_metadata()})


class TrialRun(Controller):
    """Drives the workers of one trial, once.

    Args:
        context: What the run is made of.
        function: The training function, without arguments.
        session: The trial's session.
        resume: The checkpoint to go on from.
    """

    def __init__(
        self,
        context: RunContext,
        function: Callable[[], Any],
        session: TrialSession,
        resume: Checkpoint | None,
    ) -> None:
        numbers: TrialStorage = session.storage
        metadata = session.metadata or {}
        root, name = os.path.split(numbers.path)
        storage = RunStorage(root, name, None if numbers.store.is_local else numbers.store.filesystem)
        kept = _TrialCheckpoints(storage, context.run_config.checkpoint_config, numbers, metadata)
        super().__init__(context, function, storage, resume, kept=kept)
        self._session = session
        self._trial = TrialNames(
            experiment_name=session.experiment_name,
            trial_name=session.trial_name,
            trial_id=session.trial_id,
            trial_dir=session.trial_dir,
            trial_resources=session.trial_resources,
            metadata=metadata,
        )

    def run(self) -> None:
        """Train.

        Raises:
            Exception: what a worker has raised, or what has failed around the workers.
        """
        try:
            self._storage.prepare()
            self._train()
        except WorkerGroupError as error:
            raise next(iter(error.worker_failures.values())) from error
        except ControllerError as error:
            raise error.controller_failure from error
        finally:
            self._end()

    def _group(self) -> WorkerGroup:
        scaling = self._context.scaling_config
        return WorkerGroup(
            scaling.num_workers,
            scaling._resources_per_worker_not_none,
            scaling.placement_strategy,
            place=get_current_placement_group(),
        )

    def reported(self, report: Report) -> None:
        """A report is complete: it is the trial's."""
        super().reported(report)
        self._session.report_kept(report.metrics[0], report.checkpoint)
