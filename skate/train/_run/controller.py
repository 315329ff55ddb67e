"""From `fit` to `Result`: attempts, failures, and how many workers each attempt has."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import skate
from skate._private.state import available_resources_per_node
from skate.train._run.attempt import Attempt, Outgrown, Preempted, WorkersFailed
from skate.train._run.checkpoints import KeptCheckpoints, Report
from skate.train._run.group import NoRoom, WorkerGroup
from skate.train._run.preemption import PreemptionWatch, failure_domains, without
from skate.train._run.progress import ProgressLine
from skate.train._run.scaling import GrowthWatch, fitting
from skate.train._run.session import TrialNames, WorkerFacts
from skate.train._run.validation import Validations
from skate.train.v2.api.exceptions import ControllerError, TrainingFailedError
from skate.util.drain import draining_nodes

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
    from skate.train._run.storage import RunStorage
    from skate.train.backend import BackendConfig
    from skate.train.v2.api.preemption import PreemptionInfo
    from skate.train.v2.api.validation_config import ValidationConfig

__all__ = [
    "Controller",
    "RunContext",
]

_logger = logging.getLogger(__name__)
_PLACING = 5.0
"""Seconds after which a run of a variable size begins with what is free, rather than wait for what others hold."""


@dataclass
class RunContext:
    """What a run is made of; callbacks are given it.

    Args:
        run_config: What it is called, where it is kept, what happens when it fails.
        train_loop_config: What the training function is given.
        scaling_config: How many workers it has.
        backend_config: How they are prepared.
        datasets: The data sets by name.
        dataset_config: How they are split.
    """

    run_config: Any
    train_loop_config: dict[str, Any] | None
    scaling_config: Any
    backend_config: BackendConfig
    datasets: dict[str, Any]
    dataset_config: Any

    def get_run_config(self) -> Any:
        """The run's configuration."""
        return self.run_config


class Controller:
    """Drives one run, in the process that called `fit`.

    Args:
        context: What the run is made of.
        function: The training function, without arguments.
        storage: Where the run is kept.
        resume: The checkpoint of another run to begin with.
        validation: How checkpoints are validated.
        kept: The run's checkpoints; default: those that `storage` knows.
    """

    _trial: TrialNames | None = None

    def __init__(
        self,
        context: RunContext,
        function: Callable[[], Any],
        storage: RunStorage,
        resume: Checkpoint | None = None,
        validation: ValidationConfig | None = None,
        kept: KeptCheckpoints | None = None,
    ) -> None:
        self._context = context
        self._function = function
        self._storage = storage
        self._resume = resume
        self._kept = kept or KeptCheckpoints(storage, context.run_config.checkpoint_config)
        self._validates = validation is not None
        self._validations = Validations(validation, self._kept)
        self._return_value: Any = None
        self._backend = context.backend_config.backend_cls()
        self._size = 0
        self._going: list[str] = []  # hosts of which there was notice when the attempt began
        self._progress = ProgressLine(str(context.run_config.name))

    def run(self) -> Any:
        """Train, as often as failures are allowed.

        Returns:
            The result.

        Raises:
            TrainingFailedError: a failure, and none is allowed any more.
        """
        try:
            self._storage.prepare()
            self._kept.load()
        except Exception as failure:
            raise ControllerError(failure) from failure
        try:
            self._train()
            self._validations.finish()
            self._settle()
        finally:
            self._validations.cancel()
            self._end()
        return self._kept.result(self._return_value)

    def _end(self) -> None:
        self._kept.close()
        self._progress.close()
        for callback in self._context.run_config.callbacks or []:
            callback.at_end(self._context)

    def _settle(self) -> None:
        try:
            self._kept.settle()
        except Exception as failure:
            raise ControllerError(failure) from failure

    def _train(self) -> None:
        failures = 0
        lost = 0  # of these, the ones for which a host was taken away, which is nobody's fault
        while True:
            try:
                self._attempt()
                return
            except Outgrown:
                _logger.info(
                    "There is room for more than %d workers: they start again, with more.", self._size
                )
                continue
            except (WorkersFailed, Preempted) as failed:
                error = failed.as_error()
                if isinstance(failed, Preempted):
                    raised, preempted = failed.failures, True
                else:
                    raised = {rank: each for rank, (each, _) in failed.failures.items()}
                    preempted = any(getattr(each, "preempted", False) for each in raised.values())
            if raised:
                self._call_back("after_exception", dict(sorted(raised.items())))
            config = self._context.run_config.failure_config
            if preempted:
                limit, lost = getattr(config, "max_preemption_failures", -1), lost + 1
                number = lost
            else:
                limit, failures = config.max_failures, failures + 1
                number = failures
            if 0 <= limit < number:
                raise error from next(iter(raised.values()), None)
            _logger.warning("%s\nThe workers start again (failure %d of %s).", error, number, _count(limit))

    def _attempt(self) -> None:
        self._kept.forget_pending()
        try:
            self._going = list(draining_nodes())
            group = self._group()
        except skate.exceptions.RayActorError as error:
            raise WorkersFailed({0: (error, str(error))}) from error
        except Exception as error:
            raise ControllerError(error) from error
        self._size = len(group)
        self._progress.begin(self._size)
        scaling = self._context.scaling_config
        growth = None
        if scaling.elasticity_enabled and len(group) < scaling.max_workers:
            growth = GrowthWatch(scaling.elastic_resize_monitor_interval_s, time.monotonic())
        try:
            try:
                self._prepare(group)
                failures = self._context.run_config.failure_config
                Attempt(
                    self,
                    group,
                    self._kept,
                    self._validations,
                    growth,
                    preemption=self._preemption_watch(group, getattr(failures, "preemption_grace_s", 0.0)),
                    relaxes=getattr(failures, "relax_collectives_on_preemption", False),
                ).drive()
                with contextlib.suppress(skate.exceptions.RayActorError):
                    self._backend.on_shutdown(group, self._context.backend_config)
            except (WorkersFailed, Preempted, TrainingFailedError, Outgrown):
                raise
            except skate.exceptions.RayActorError as error:
                raise WorkersFailed({group.rank_of(error): (error, str(error))}) from error
            except Exception as error:
                raise ControllerError(error) from error
        finally:
            group.shut_down()

    def _group(self) -> WorkerGroup:
        scaling, run = self._context.scaling_config, self._context.run_config
        worker = scaling._resources_per_worker_not_none
        options = {"strategy": scaling.placement_strategy, "runtime_env": run.worker_runtime_env}
        least, most = scaling.min_workers, scaling.max_workers
        lost = _held_by(self._going)
        size = fitting(least, most, worker, _less(skate.cluster_resources(), lost))

        def group(size: int, patience: float | None = None) -> WorkerGroup:
            labels = without(scaling.label_selector, self._going, size)
            return WorkerGroup(size, worker, **options, label_selector=labels, patience=patience, lost=lost)

        if size > least:
            try:
                return group(size, _PLACING)
            except NoRoom:  # others hold what is needed
                size = fitting(least, most, worker, _free_beside(self._going))
        return group(size)

    def _preemption_watch(self, group: WorkerGroup, grace_s: float) -> PreemptionWatch:
        labels = {node["NodeID"]: node["Labels"] for node in skate.nodes()}
        domains = failure_domains([member.node_id for member in group.members], labels)
        for node in self._going:  # a trial's place is not ours to choose: it is taken where it is
            domains.pop(node, None)
        return PreemptionWatch(domains, time.monotonic(), grace_s)

    def _prepare(self, group: WorkerGroup) -> None:
        config = self._context.backend_config
        self._backend.on_start(group, config)
        shards = self._shards(group)
        self._backend.on_training_start(group, config)
        function = skate.put(functools.partial(_within, config.train_func_context, self._function))
        checkpoint = self._kept.latest or self._resume
        starts = []
        for rank, member in enumerate(group.members):
            facts = WorkerFacts(
                storage=self._storage,
                world_size=len(group),
                world_rank=rank,
                local_rank=member.local_rank,
                local_world_size=member.local_world_size,
                node_rank=member.node_rank,
                checkpoint=checkpoint,
                shards=shards[rank],
                validates=self._validates,
                trial=self._trial,
            )
            starts.append(member.actor.start.remote(facts, function))
        group.wait(starts)

    def _shards(self, group: WorkerGroup) -> list[dict[str, Any]]:
        if not self._context.datasets:
            return [{} for _ in group.members]
        datasets = {
            name: dataset() if callable(dataset) else dataset
            for name, dataset in self._context.datasets.items()
        }
        shards: list[dict[str, Any]] = self._context.dataset_config.configure(
            datasets,
            world_size=len(group),
            worker_handles=[member.actor for member in group.members],
            worker_node_ids=[member.node_id for member in group.members],
        )
        return shards

    def reported(self, report: Report) -> None:
        """A report is complete: validate its checkpoint if that is asked for, and tell callbacks."""
        if report.result is not None and report.validation:
            self._validations.start(report.result, report.validation)
        self._progress.reported(report.metrics[0])
        self._call_back("after_report", report.metrics, report.checkpoint)

    def returned(self, value: Any) -> None:
        """Take note of what rank 0 has returned."""
        self._return_value = value

    def room(self) -> int:
        """How many more workers there is room for."""
        if draining_nodes():
            return 0  # what is free may be what will be taken away
        scaling = self._context.scaling_config
        more = scaling.max_workers - self._size
        return fitting(0, more, scaling._resources_per_worker_not_none, skate.available_resources())

    def warn(self, text: str) -> None:
        """Say that something may be wrong."""
        _logger.warning("Training gets on slowly, or not at all: %s.", text)

    def noticed(self, info: PreemptionInfo) -> None:
        """Say that hosts will be taken away."""
        when = "" if info.deadline_ms is None else f" in {info.deadline_ms / 1000 - time.time():.0f} s"
        _logger.warning(
            "Hosts %s will be taken away%s, and with them the workers of rank %s: train.get_preemption_info() tells the training "
            "function, which can save a checkpoint; the workers then start again elsewhere.",
            ", ".join(info.preempted_node_ids),
            when,
            ", ".join(map(str, info.preempted_ranks)),
        )

    def _call_back(self, name: str, *args: Any) -> None:
        for callback in self._context.run_config.callbacks or []:
            try:
                getattr(callback, name)(self._context, *args)
            except Exception as error:
                raise ControllerError(error) from error


def _within(make_context: Callable[[], Any], function: Callable[[], Any]) -> Any:
    with make_context():
        return function()


def _held_by(nodes: Collection[str]) -> dict[str, float]:
    """What some hosts have, together."""
    total: Counter[str] = Counter()
    if nodes:
        for node in skate.nodes():
            if node["NodeID"] in nodes:
                total.update(node["Resources"])
    return dict(total)


def _free_beside(nodes: Collection[str]) -> dict[str, float]:
    """What nobody holds on other hosts than these."""
    if not nodes:
        return skate.available_resources()
    total: Counter[str] = Counter()
    for node, free in available_resources_per_node().items():
        if node not in nodes:
            total.update(free)
    return dict(total)


def _less(there: dict[str, float], lost: dict[str, float]) -> dict[str, float]:
    return {name: max(0.0, amount - lost.get(name, 0.0)) for name, amount in there.items()}


def _count(limit: int) -> str:
    return "any number" if limit < 0 else str(limit)
