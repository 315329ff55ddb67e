"""The actors of one attempt: where they are placed, and which ranks they have."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import skate
from skate.train._run.worker import TrainWorker
from skate.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from skate.util.scheduling_strategies import PlacementGroupSchedulingStrategy

__all__ = [
    "Member",
    "NoRoom",
    "WorkerGroup",
    "rank_members",
]

_logger = logging.getLogger(__name__)
_PATIENCE = 30.0


@dataclass
class Member:
    """A worker with its ranks."""

    actor: Any
    node_id: str
    gpu_ids: list[int]
    actor_id: str = ""
    local_rank: int = 0
    local_world_size: int = 1
    node_rank: int = 0


def rank_members(members: Sequence[Member]) -> list[Member]:
    """Give ranks: hosts in the order in which they first come, on each host by GPU, then as they were placed.

    Args:
        members: The workers, as they were placed.

    Returns:
        The same workers; the place in the list is the world rank.
    """
    hosts: dict[str, list[Member]] = {}
    for member in members:
        hosts.setdefault(member.node_id, []).append(member)
    ranked: list[Member] = []
    for node_rank, on_host in enumerate(hosts.values()):
        for local_rank, member in enumerate(sorted(on_host, key=lambda one: one.gpu_ids)):
            member.local_rank, member.local_world_size, member.node_rank = local_rank, len(on_host), node_rank
            ranked.append(member)
    return ranked


class NoRoom(Exception):
    """Others hold what the workers need."""


class WorkerGroup:
    """Workers that train together.

    Args:
        size: How many.
        resources: What each holds.
        strategy: How they are spread over hosts.
        runtime_env: Their environment, if they have one of their own.
        label_selector: Labels of the hosts on which they run; or a list with those for each worker.
        patience: Seconds after which `NoRoom` is raised; None: wait for others to give back what they hold.
        place: A placement group with room for the workers, which is not theirs; default: they get one of their own.
        lost: What of the session's resources does not count, since its hosts will be taken away.

    Raises:
        ValueError: the session has not as much as they need.
        NoRoom: others hold what they need, and do not give it back in time.
    """

    def __init__(
        self,
        size: int,
        resources: dict[str, float],
        strategy: str,
        runtime_env: Any = None,
        label_selector: dict[str, str] | list[dict[str, str]] | None = None,
        patience: float | None = None,
        place: PlacementGroup | None = None,
        lost: Mapping[str, float] | None = None,
    ) -> None:
        self.members: list[Member] = []
        self._is_own = place is None
        if place is None:
            _check_feasible(size, resources, lost or {})
            labels = [label_selector] * size if isinstance(label_selector, dict) else label_selector
            place = placement_group(
                [dict(resources) for _ in range(size)], strategy=strategy, bundle_label_selector=labels
            )
        self._placement = place
        try:
            self._wait_for_room(size, resources, patience)
            self._start(size, resources, runtime_env)
        except BaseException:
            self.shut_down()
            raise

    def _wait_for_room(self, size: int, resources: dict[str, float], patience: float | None) -> None:
        while not self._placement.wait(_PATIENCE if patience is None else patience):
            if patience is not None:
                raise NoRoom
            _logger.warning(
                "Train waits for %d workers with %s each: the session has that much, but others hold it.",
                size,
                resources,
            )

    def _start(self, size: int, resources: dict[str, float], runtime_env: Any) -> None:
        custom = {name: amount for name, amount in resources.items() if name not in ("CPU", "GPU", "memory")}
        options: dict[str, Any] = {
            "num_cpus": resources.get("CPU", 0),
            "num_gpus": resources.get("GPU", 0),
            "resources": custom,
            "max_concurrency": 4,
        }
        if "memory" in resources:
            options["memory"] = resources["memory"]
        if runtime_env:
            options["runtime_env"] = runtime_env
        remote = skate.remote(TrainWorker)
        actors = [
            remote.options(
                **options,
                scheduling_strategy=PlacementGroupSchedulingStrategy(
                    self._placement, placement_group_bundle_index=index if self._is_own else -1
                ),
            ).remote(max(1, int(resources.get("CPU", 1))))
            for index in range(size)
        ]
        self.members = [
            Member(actor, "", []) for actor in actors
        ]  # known, so that they are ended whatever happens
        found = skate.get([actor.describe.remote() for actor in actors])
        self.members = rank_members(
            [Member(actor, *facts) for actor, facts in zip(actors, found, strict=True)]
        )

    def rank_of(self, error: skate.exceptions.RayActorError) -> int:
        """The rank of the worker whose end an error tells of; 0 if it says none."""
        ids = [member.actor_id for member in self.members]
        return ids.index(error.actor_id) if error.actor_id in ids else 0

    @property
    def num_workers(self) -> int:
        """How many workers there are."""
        return len(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def execute_async(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Call a function on every worker.

        Returns:
            A ref for each, in the order of ranks.
        """
        return [member.actor.execute.remote(function, *args, **kwargs) for member in self.members]

    def execute(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Call a function on every worker, and wait.

        Returns:
            What each has returned, in the order of ranks.
        """
        return self.wait(self.execute_async(function, *args, **kwargs))

    def execute_single_async(self, rank: int, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function on one worker; returns a ref."""
        return self.members[rank].actor.execute.remote(function, *args, **kwargs)

    def execute_single(self, rank: int, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function on one worker, and wait for what it returns."""
        return skate.get(self.execute_single_async(rank, function, *args, **kwargs))

    @staticmethod
    def wait(refs: list[Any]) -> list[Any]:
        """Wait for calls that were made together; the first that fails ends the wait, whatever the others do.

        Args:
            refs: What `execute_async` and `execute_single_async` have returned.

        Returns:
            What they have returned, in their order.
        """
        pending = list(refs)
        while pending:
            ready, pending = skate.wait(pending, num_returns=1)
            skate.get(ready)
        return list(skate.get(refs))

    def share_gpus(self, by_host: dict[str, list[int]]) -> None:
        """Let each worker see all GPUs that the run holds on its host, so that they can exchange data directly.

        Args:
            by_host: The GPUs by the host's id.
        """
        self.wait(
            [
                member.actor.execute.remote(_see_gpus, ",".join(map(str, by_host[member.node_id])))
                for member in self.members
            ]
        )

    def shut_down(self) -> None:
        """End the workers, whatever they do, and give back what they hold."""
        for member in self.members:
            skate.kill(member.actor)
        self.members = []
        if self._is_own:
            remove_placement_group(self._placement)


def _see_gpus(visible: str) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = visible


def _check_feasible(size: int, resources: dict[str, float], lost: Mapping[str, float]) -> None:
    there = skate.cluster_resources()
    for name, amount in resources.items():
        gone = lost.get(name, 0)
        if amount * size > there.get(name, 0) - gone + 1e-9:
            but = f", of which {gone:g} will be taken away with hosts" if gone else ""
            raise ValueError(
                f"{size} workers with {resources} each need {amount * size:g} {name}, but the session has "
                f"{there.get(name, 0):g}{but}. Ask for fewer workers or less for each (ScalingConfig), or start a session with "
                "more (init)."
            )
