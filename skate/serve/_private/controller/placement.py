"""Where replicas run: in placement groups of their own or their gang's, and at most so many on a machine."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import skate
from skate.serve._private.controller.deployment_state import DeploymentState, ReplicaRecord, Start, Target
from skate.serve.config import GangPlacementStrategy
from skate.util.placement_group import (
    PlacementGroup,
    get_placement_group,
    placement_group,
    remove_placement_group,
)
from skate.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

_PAUSE_S = 0.2


class Placement:
    """Chooses for replicas that start, and forgets those that have ended."""

    def __init__(self) -> None:
        self._nodes: dict[str, str] = {}
        self._gangs: dict[str, asyncio.Task[PlacementGroup]] = {}
        self._grouped: set[str] = set()
        """Replicas that have a placement group of their own."""

    async def place(self, state: DeploymentState, target: Target, action: Start) -> dict[str, Any]:
        """Options for a replica's actor; waits until there is a place for it."""
        if target.config.gang_scheduling_config is not None:
            group = await self._gang(state, target, action)
            index = action.gang_rank * max(1, len(target.bundles))
            return {"scheduling_strategy": PlacementGroupSchedulingStrategy(group, index, True)}
        if target.bundles:
            self._grouped.add(action.uid)
            group = await self._group(self.name(state, action.uid), target, target.bundles, target.strategy)
            return {"scheduling_strategy": PlacementGroupSchedulingStrategy(group, 0, True)}
        if target.max_replicas_per_node is not None:
            node = await self._node(state, action.uid, target.max_replicas_per_node)
            return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}
        return {}

    @staticmethod
    def name(state: DeploymentState, unique: str) -> str:
        """The name of a placement group, by which a controller that was restarted finds it."""
        return f"SERVE_PLACEMENT::{state.id.app_name}#{state.id.name}#{unique}"

    async def _group(
        self, name: str, target: Target, bundles: list[dict[str, float]], strategy: str
    ) -> PlacementGroup:
        made = placement_group(
            bundles, strategy, name=name, lifetime="detached", bundle_label_selector=target.selectors
        )
        await made.ready()
        return made

    async def _gang(self, state: DeploymentState, target: Target, action: Start) -> PlacementGroup:
        """The group of a gang; the first of its replicas makes it."""
        name = self.name(state, action.gang)
        making = self._gangs.get(name)
        if making is None:
            gang = target.config.gang_scheduling_config
            assert gang is not None
            each = target.bundles or [_resources(target.actor_options)]
            spread = gang.gang_placement_strategy == GangPlacementStrategy.SPREAD
            # A task of its own: the replica that begins it may be stopped while others wait for it.
            making = self._gangs[name] = asyncio.create_task(
                self._group(name, target, each * gang.gang_size, "SPREAD" if spread else "PACK")
            )
        try:
            return await asyncio.shield(making)
        except Exception:
            self._gangs.pop(name, None)
            raise

    async def _node(self, state: DeploymentState, uid: str, limit: int) -> str:
        while True:
            nodes = await asyncio.to_thread(skate.nodes)
            taken = Counter(_node_of(record, self._nodes) for record in state.replicas.values())
            free = [node["NodeID"] for node in nodes if node["Alive"] and taken[node["NodeID"]] < limit]
            if free:
                chosen: str = min(free, key=lambda node: taken[node])
                self._nodes[uid] = chosen
                return chosen
            await asyncio.sleep(_PAUSE_S)

    def forget(self, state: DeploymentState, uid: str, gang: str) -> None:
        """A replica has ended: its place is free, and its gang's when it was the last."""
        self._nodes.pop(uid, None)
        target = state.target
        # The target may have another version by now; a controller that was restarted knows only that.
        if uid in self._grouped or (target is not None and target.bundles and not gang):
            self._grouped.discard(uid)
            _remove(self.name(state, uid))
        if gang and not any(r.gang == gang for r in state.replicas.values() if r.uid != uid):
            making = self._gangs.pop(self.name(state, gang), None)
            if making is not None:
                making.cancel()
            _remove(self.name(state, gang))


def _node_of(record: ReplicaRecord, chosen: dict[str, str]) -> str:
    """Where a replica is, or is going to be; a controller that was restarted knows it from the replica."""
    return chosen.get(record.uid) or (record.facts.node_id if record.facts is not None else "")


def _remove(name: str) -> None:
    try:
        group = get_placement_group(name)
    except ValueError:
        return  # it was never made
    remove_placement_group(group)


def _resources(options: dict[str, Any]) -> dict[str, float]:
    """A bundle that a replica fits into."""
    found: dict[str, float] = dict(options.get("resources") or {})
    for option, name in (("num_cpus", "CPU"), ("num_gpus", "GPU"), ("memory", "memory")):
        if options.get(option):
            found[name] = options[option]
    return found or {"CPU": 0.001}
