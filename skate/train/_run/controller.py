"""From `fit` to `Result`: attempts, reports, checkpoints, failures."""

from __future__ import annotations

import contextlib
import functools
import logging
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cloudpickle

import skate
from skate.train._run.checkpoints import KeptCheckpoints
from skate.train._run.group import WorkerGroup
from skate.train._run.rounds import Arrival, Rounds, RoundsDiffer
from skate.train._run.session import WorkerFacts
from skate.train.v2.api.exceptions import ControllerError, TrainingFailedError, WorkerGroupError

if TYPE_CHECKING:
    from skate.air._checkpoint import Checkpoint
    from skate.train._run.storage import RunStorage
    from skate.train.backend import BackendConfig

__all__ = [
    "Controller",
    "RunContext",
]

_logger = logging.getLogger(__name__)
_GRACE = 0.2
"""Seconds in which other workers that fail for the same reason are heard, too."""


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


class _WorkersFailed(Exception):
    def __init__(self, failures: dict[int, tuple[Exception, str]]) -> None:
        super().__init__()
        self.failures = failures

    def as_error(self) -> WorkerGroupError:
        ranks_of: dict[str, list[str]] = {}  # ranks that fail alike are named together
        for rank, (_, text) in sorted(self.failures.items()):
            ranks_of.setdefault(text, []).append(str(rank))
        texts = [f"[Rank {','.join(ranks)} Error Snippet]:\n{text}" for text, ranks in ranks_of.items()]
        message = "Training failed due to worker errors:\n" + "\n\n".join(texts)
        return WorkerGroupError(message, {rank: error for rank, (error, _) in sorted(self.failures.items())})


class Controller:
    """Drives one run, in the process that called `fit`.

    Args:
        context: What the run is made of.
        function: The training function, without arguments.
        storage: Where the run is kept.
        resume: The checkpoint of another run to begin with.
    """

    def __init__(
        self, context: RunContext, function: Callable[[], Any], storage: RunStorage, resume: Checkpoint | None
    ) -> None:
        self._context = context
        self._function = function
        self._storage = storage
        self._resume = resume
        self._kept = KeptCheckpoints(storage, context.run_config.checkpoint_config)
        self._return_value: Any = None
        self._backend = context.backend_config.backend_cls()

    def run(self) -> Any:
        """Train, as often as failures are allowed.

        Returns:
            The result.

        Raises:
            TrainingFailedError: a failure, and none is allowed any more.
        """
        failures = 0
        try:
            self._storage.prepare()
            self._kept.load()
        except Exception as failure:
            raise ControllerError(failure) from failure
        while True:
            try:
                self._attempt()
                break
            except _WorkersFailed as failed:
                error = failed.as_error()
            self._call_back("after_exception", error.worker_failures)
            limit = self._context.run_config.failure_config.max_failures
            failures += 1
            if 0 <= limit < failures:
                raise error from next(iter(error.worker_failures.values()))
            _logger.warning("%s\nThe workers start again (failure %d of %s).", error, failures, _count(limit))
        return self._kept.result(self._return_value)

    def _attempt(self) -> None:
        scaling = self._context.scaling_config
        self._kept.forget_pending()
        try:
            group = WorkerGroup(
                _size(scaling.num_workers, scaling._resources_per_worker_not_none),
                scaling._resources_per_worker_not_none,
                scaling.placement_strategy,
                self._context.run_config.worker_runtime_env,
            )
        except skate.exceptions.RayActorError as error:
            raise _WorkersFailed({0: (error, str(error))}) from error
        except Exception as error:
            raise ControllerError(error) from error
        try:
            try:
                self._prepare(group)
                _Attempt(self, group, self._kept).drive()
                with contextlib.suppress(skate.exceptions.RayActorError):
                    self._backend.on_shutdown(group, self._context.backend_config)
            except (_WorkersFailed, TrainingFailedError):
                raise
            except skate.exceptions.RayActorError as error:
                raise _WorkersFailed({group.rank_of(error): (error, str(error))}) from error
            except Exception as error:
                raise ControllerError(error) from error
        finally:
            group.shut_down()

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

    def reported(self, metrics: list[dict[str, Any]], checkpoint: Checkpoint | None) -> None:
        """Tell callbacks of a report that is complete."""
        self._call_back("after_report", metrics, checkpoint)

    def returned(self, value: Any) -> None:
        """Take note of what rank 0 has returned."""
        self._return_value = value

    def _call_back(self, name: str, *args: Any) -> None:
        for callback in self._context.run_config.callbacks or []:
            try:
                getattr(callback, name)(self._context, *args)
            except Exception as error:
                raise ControllerError(error) from error


class _Attempt:
    """Listens to the workers of one attempt until they have all returned."""

    def __init__(self, controller: Controller, group: WorkerGroup, kept: KeptCheckpoints) -> None:
        self._controller = controller
        self._group = group
        self._kept = kept
        self._rounds = Rounds(len(group))
        self._failures: dict[int, tuple[Exception, str]] = {}
        self._pending: dict[Any, int] = {}
        self._awaiting: dict[str | None, list[int]] = {}  # who waits until a checkpoint is whole

    def drive(self) -> None:
        for rank in range(len(self._group)):
            self._listen(rank)
        deadline: float | None = None
        while self._pending:
            timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready, _ = skate.wait(list(self._pending), num_returns=1, timeout=timeout)
            if not ready:
                break
            for ref in ready:
                rank = self._pending.pop(ref)
                try:
                    self._hear(rank, ref)
                except RoundsDiffer as error:
                    self._failures.update({at: (error, str(error)) for at in error.ranks})
            if self._failures and deadline is None:
                deadline = time.monotonic() + _GRACE
        if self._failures:
            raise _WorkersFailed(self._failures)

    def _listen(self, rank: int) -> None:
        self._pending[self._group.members[rank].actor.exchange.remote()] = rank

    def _hear(self, rank: int, ref: Any) -> None:
        try:
            messages = skate.get(ref)
        except skate.exceptions.RayActorError as error:
            self._failures[rank] = (error, f"{type(error).__name__}: {error}")
            return
        ended = False
        for kind, *rest in messages:
            if kind == "arrive":
                arrivals = self._rounds.arrive(rank, rest[0])
                if arrivals is not None:
                    self._complete(arrivals)
            elif kind == "uploaded":
                name, checkpoint, waits = rest
                if waits:
                    self._awaiting.setdefault(name, []).append(rank)
                self._kept.uploaded(name, checkpoint)
                self._announce()
            elif kind == "failed":
                self._failures[rank] = (pickle.loads(rest[0]), rest[1])
                ended = True
            else:
                ended = True
                if rank == 0:
                    self._controller.returned(pickle.loads(rest[0]))
                self._rounds.end(rank)
        if not ended:
            self._listen(rank)

    def _complete(self, arrivals: list[Arrival]) -> None:
        kind = arrivals[0].kind
        answer: Any = None
        if kind == "report":
            values = [arrival.value for arrival in arrivals]
            answer = self._kept.report(
                [pickle.loads(value.metrics) for value in values],
                sum(value.has_checkpoint for value in values),
                next((value.dir_name for value in values if value.dir_name is not None), None),
                next((value.in_place for value in values if value.in_place is not None), None),
            )
        elif kind == "broadcast_from_rank_zero":
            answer = arrivals[0].value
        elif kind == "get_all_reported_checkpoints":
            answer = cloudpickle.dumps(self._kept.listed())
        for member in self._group.members:
            member.actor.reply.remote(answer)
        self._announce()

    def _announce(self) -> None:
        for report in self._kept.take_committed():
            for rank in self._awaiting.pop(report.name, ()):
                self._group.members[rank].actor.reply.remote(None)
            self._controller.reported(report.metrics, report.checkpoint)


def _within(make_context: Callable[[], Any], function: Callable[[], Any]) -> Any:
    with make_context():
        return function()


def _size(num_workers: int | tuple[int, int], resources: dict[str, float]) -> int:
    """How many workers an attempt begins with: of a range, as many as the session has resources for."""
    if isinstance(num_workers, int):
        return num_workers
    least, most = num_workers
    there = skate.cluster_resources()
    fits = min((there.get(name, 0) / amount + 1e-9 for name, amount in resources.items()), default=most)
    return max(least, min(most, int(fits)))


def _count(limit: int) -> str:
    return "any number" if limit < 0 else str(limit)
