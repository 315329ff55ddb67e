"""Runs trials on actors. It does what it is told, and tells what has happened; what to do is decided elsewhere."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

import skate
from skate.air.execution.request import options_of
from skate.tune.error import TuneError
from skate.tune.execution.budget import Budget
from skate.tune.execution.placement_groups import can_place
from skate.tune.execution.worker import TrialStart, TrialWorker
from skate.tune.registry import get_trainable_cls
from skate.tune.trainable.facts import TrialFacts, TrialStorage

if TYPE_CHECKING:
    from skate.air.checkpoint_manager import TrainingResult
    from skate.tune.execution.placement_groups import PlacementGroupFactory
    from skate.tune.experiment.trial import Trial

__all__ = [
    "ActorExecutor",
    "Event",
    "Executor",
    "Kind",
]


_logger = logging.getLogger(__name__)


class Kind(Enum):
    """What has been asked of a trial, and has now happened."""

    RESULT = "result"
    SAVED = "saved"
    STOPPED = "stopped"
    EXPORTED = "exported"


@dataclass
class Event:
    """What has happened to a trial.

    Args:
        trial: The trial.
        kind: What was asked of it.
        value: What came of it; for RESULT the metrics and the checkpoint that came with them.
        error: What it failed with, instead.
    """

    trial: Trial
    kind: Kind
    value: Any = None
    error: Exception | None = None


class Executor(ABC):
    """Runs trials. One thing is asked of a trial at a time, except that `save` may be followed by `train`."""

    @abstractmethod
    def has_room(self, request: PlacementGroupFactory) -> bool:
        """Whether a trial that holds this can start now."""

    @abstractmethod
    def missing(self, request: PlacementGroupFactory) -> dict[str, float]:
        """What a request asks for beyond all there is."""

    @abstractmethod
    def start(self, trial: Trial) -> None:
        """Begin a trial, from its newest checkpoint if it has one. A RESULT follows."""

    @abstractmethod
    def train(self, trial: Trial) -> None:
        """Let a trial do another iteration. A RESULT follows."""

    @abstractmethod
    def save(self, trial: Trial) -> None:
        """Let a trial save itself. SAVED follows."""

    @abstractmethod
    def save_now(self, trial: Trial) -> TrainingResult:
        """Let a trial save itself, and wait until it has."""

    @abstractmethod
    def finish_save(self, trial: Trial) -> TrainingResult:
        """Wait until a save that has been asked for is done. No SAVED follows."""

    @abstractmethod
    def export(self, trial: Trial) -> None:
        """Let a trial export its model. EXPORTED follows."""

    @abstractmethod
    def stop(self, trial: Trial, failed: bool = False) -> None:
        """End a trial; what it holds is free at once. Nothing follows.

        Args:
            trial: The trial.
            failed: Whether its process is of no more use.
        """

    @abstractmethod
    def wait(self, timeout: float) -> list[Event]:
        """What has happened, as soon as anything has.

        Args:
            timeout: Seconds to wait at most.
        """

    @abstractmethod
    def used(self) -> tuple[dict[str, float], dict[str, float]]:
        """What is held, and what there is."""

    @abstractmethod
    def shutdown(self) -> None:
        """End everything."""


@dataclass
class _Worker:
    """An actor that runs trials, with what is reserved for it.

    Args:
        actor: The actor.
        request: What it was made for: it runs trials that ask for the same.
        group: The placement group that it runs in, if the request has several bundles.
        knows: Names of the trainables that it has been given.
    """

    actor: Any
    request: PlacementGroupFactory
    group: Any = None
    knows: set[str] = field(default_factory=set)

    def end(self) -> None:
        """End the actor, and give back what was reserved."""
        skate.kill(self.actor)
        if self.group is not None:
            from skate.util import remove_placement_group

            remove_placement_group(self.group)


class ActorExecutor(Executor):
    """Runs trials on actors, each of which runs one trial after the other.

    Args:
        reuse_actors: Whether a trainable may become the next trial rather than be made anew.
    """

    def __init__(self, reuse_actors: bool = False) -> None:
        self._reuse = reuse_actors
        self._budget = Budget(skate.cluster_resources())
        self._looked = time.monotonic()
        self._warned = False
        self._workers: dict[str, _Worker] = {}
        self._idle: dict[PlacementGroupFactory, list[_Worker]] = {}
        self._asked: dict[Any, tuple[Trial, Kind]] = {}
        self._classes: dict[str, Any] = {}
        self._actor_class = skate.remote(TrialWorker)

    def has_room(self, request: PlacementGroupFactory) -> bool:
        """Whether a trial that holds this can start now."""
        if self._budget.has_room(request):
            return True
        if time.monotonic() - self._looked > _LOOK_AGAIN_S:
            self._look()
        return self._budget.has_room(request)

    def _look(self) -> None:
        self._looked = time.monotonic()
        self._budget.set_total(skate.cluster_resources())

    def missing(self, request: PlacementGroupFactory) -> dict[str, float]:
        """What a request asks for beyond all there is."""
        return self._budget.missing(request)

    def used(self) -> tuple[dict[str, float], dict[str, float]]:
        """What is held, and what there is."""
        return self._budget.used, self._budget.total

    def start(self, trial: Trial) -> None:
        """Begin a trial."""
        self._budget.hold(trial.trial_id, trial.placement_group_factory)
        worker = self._take_worker(trial.placement_group_factory)
        self._workers[trial.trial_id] = worker
        name = trial.trainable_name
        given = None
        if name not in worker.knows:
            worker.knows.add(name)
            if name not in self._classes:
                self._classes[name] = skate.put(get_trainable_cls(name))
            given = self._classes[name]
        ref = worker.actor.start.remote(name, given, self._start_of(trial))
        self._asked[ref] = (trial, Kind.RESULT)

    def _start_of(self, trial: Trial) -> TrialStart:
        storage = trial.storage
        assert storage is not None and trial.path is not None and trial.local_path is not None
        facts = TrialFacts(
            trial.trial_id, str(trial), storage.name, trial.placement_group_factory, trial.local_path
        )
        keep = TrialStorage(storage.store, trial.path, storage.path, trial.next_checkpoint)
        return TrialStart(
            facts, keep, trial.config, trial.latest_checkpoint_result, trial.log_to_file, self._reuse
        )

    def _take_worker(self, request: PlacementGroupFactory) -> _Worker:
        idle = self._idle.get(request)
        if idle:
            return idle.pop()
        # Workers of other shapes hold what this one needs.
        for others in self._idle.values():
            while others:
                others.pop().end()
        options: dict[str, Any] = {**options_of(request.head_bundle), "max_restarts": 0}
        group = None
        if len(request.bundles) > 1 or request.head_bundle_is_empty:
            # What the trial starts finds its place in the trial's own bundles, and takes nobody else's.
            self._check_places(request)
            group = self._reserve(request)
        if group is not None:
            options["scheduling_strategy"] = _strategy(
                group, -1 if request.head_bundle_is_empty else 0, placement_group_capture_child_tasks=True
            )
        return _Worker(self._actor_class.options(**options).remote(), request, group)

    def _reserve(self, request: PlacementGroupFactory) -> Any:
        """A placement group of the bundles; None on an engine that has none, where they are counted only."""
        try:
            return request()
        except NotImplementedError:
            if not self._warned:
                self._warned = True
                _logger.warning(
                    "This engine has no placement groups: a trial's bundles are counted, and what it starts runs anywhere."
                )
            return None

    def _check_places(self, request: PlacementGroupFactory) -> None:
        """Refuse bundles that the hosts there are could never hold as asked: the trial would wait for ever.

        Raises:
            TuneError: they couldn't.
        """
        hosts = [node["Resources"] for node in skate.nodes() if node["Alive"]]
        if not can_place(request.bundles, request.strategy, hosts):
            raise TuneError(
                f"bundles {request.bundles} can't be placed by {request.strategy} on {len(hosts)} host(s): ask for less, or "
                "for another strategy."
            )

    def train(self, trial: Trial) -> None:
        """Let a trial do another iteration."""
        self._asked[self._workers[trial.trial_id].actor.train.remote()] = (trial, Kind.RESULT)

    def save(self, trial: Trial) -> None:
        """Let a trial save itself."""
        self._asked[self._workers[trial.trial_id].actor.save.remote()] = (trial, Kind.SAVED)

    def save_now(self, trial: Trial) -> TrainingResult:
        """Let a trial save itself, and wait until it has."""
        saved: TrainingResult = skate.get(self._workers[trial.trial_id].actor.save.remote())
        return saved

    def finish_save(self, trial: Trial) -> TrainingResult:
        """Wait until a save that has been asked for is done."""
        ref = next(ref for ref, asked in self._asked.items() if asked == (trial, Kind.SAVED))
        del self._asked[ref]
        saved: TrainingResult = skate.get(ref)
        return saved

    def export(self, trial: Trial) -> None:
        """Let a trial export its model."""
        ref = self._workers[trial.trial_id].actor.export.remote(trial.export_formats)
        self._asked[ref] = (trial, Kind.EXPORTED)

    def stop(self, trial: Trial, failed: bool = False) -> None:
        """End a trial."""
        self._budget.release(trial.trial_id)
        worker = self._workers.pop(trial.trial_id, None)
        busy = [ref for ref, (other, _) in self._asked.items() if other is trial]
        for ref in busy:
            del self._asked[ref]
        if worker is None:
            return
        if failed or busy:  # it is gone, or in the middle of something that nobody waits for any more
            worker.end()
            return
        # Calls of one caller run in order: the next trial's start waits for this one's end.
        self._asked[worker.actor.stop.remote(self._reuse)] = (trial, Kind.STOPPED)
        self._idle.setdefault(worker.request, []).append(worker)

    def wait(self, timeout: float) -> list[Event]:
        """What has happened, as soon as anything has."""
        if not self._asked:
            return []
        ready, _ = skate.wait(list(self._asked), num_returns=1, timeout=timeout)
        if not ready:
            return []
        more, _ = skate.wait(list(self._asked), num_returns=len(self._asked), timeout=0)
        events = []
        for ref in more:
            asked = self._asked.pop(ref, None)
            if asked is None:
                continue
            event = Event(*asked)
            try:
                event.value = skate.get(ref)
            except Exception as error:  # noqa: BLE001 - whatever the trial raised is what happened to it
                event.error = error
            if event.kind != Kind.STOPPED:
                events.append(event)
            elif event.error is not None:
                self._forget_broken()
        return events

    def _forget_broken(self) -> None:
        """A worker failed while it ended a trial: none that is idle is trusted."""
        for workers in self._idle.values():
            while workers:
                workers.pop().end()

    def shutdown(self) -> None:
        """End everything, once trials that have ended have cleaned up."""
        if self._reuse:
            for idle in self._idle.values():
                for worker in idle:
                    self._asked[worker.actor.stop.remote(False)] = (_NOBODY, Kind.STOPPED)
        ending = [ref for ref, (_, kind) in self._asked.items() if kind == Kind.STOPPED]
        if ending:
            skate.wait(ending, num_returns=len(ending), timeout=_CLEANUP_S)
        workers = [*self._workers.values(), *(each for idle in self._idle.values() for each in idle)]
        before = skate.available_resources() if workers else {}
        for worker in workers:
            worker.end()
        self._wait_until_free(before, [worker.request for worker in workers])
        self._workers.clear()
        self._idle.clear()
        self._asked.clear()

    def _wait_until_free(self, before: dict[str, float], requests: list[PlacementGroupFactory]) -> None:
        """Let what ended workers held come back: a program may ask what there is as soon as its search has ended."""
        expected = dict(before)
        for request in requests:
            for name, amount in request.required_resources.items():
                expected[name] = expected.get(name, 0.0) + amount
        deadline = time.monotonic() + _RELEASE_S
        while time.monotonic() < deadline:  # not longer: somebody else may have taken it
            free = skate.available_resources()
            if all(free.get(name, 0.0) + 1e-9 >= amount for name, amount in expected.items()):
                return
            time.sleep(0.001)


def _strategy(*args: Any, **kwargs: Any) -> Any:
    from skate.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    return PlacementGroupSchedulingStrategy(*args, **kwargs)


_LOOK_AGAIN_S = 1.0
"""Seconds between two looks at how much there is in all."""

_CLEANUP_S = 30.0
"""Seconds that trials get to clean up before their processes are ended."""

_RELEASE_S = 0.2
"""Seconds that ended workers get to give back what they held."""

_NOBODY: Any = None
