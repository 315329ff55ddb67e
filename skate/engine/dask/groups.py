"""Placement groups, in the scheduler's process: where bundles go is decided here, and what holds what is known by the Dask workers.

So before each decision they are asked what is free, and afterwards told to set it aside; one that has given it away meanwhile refuses,
and the group waits on. Dask places what runs in a group by the names under which its bundles show as resources (`stock.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from skate.engine.dask import remote
from skate.engine.dask.calls import node_id_of, unscaled
from skate.engine.placement.groups import PENDING, REMOVED, RESCHEDULING, Group, Groups
from skate.engine.placement.machines import Machine
from skate.engine.placement.resources import Resources
from skate.engine.placement.where import conditions

if TYPE_CHECKING:
    from skate.engine.dask.registry import Registry

_PAUSE = 0.02  # seconds between the first looks for room; they get longer
_LONG_PAUSE = 0.2


class PlacementGroups:
    """The placement groups of all drivers."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.machines: dict[str, Machine] = {}
        """By the Dask worker's address."""
        self.groups = Groups(self.machines.values())
        self.details: dict[str, dict[str, Any]] = {}
        """By id: the creator's client and job, and whether it is detached."""
        self._reserved: dict[str, dict[int, str]] = {}
        """By group and index: the address of the Dask worker that has set the bundle aside."""
        self._lock = asyncio.Lock()
        self._looking = False

    # -- questions ----------------------------------------

    async def on_create_group(self, _client: str, id: str, about: Mapping[str, Any]) -> bool:
        """A group is wanted. False if its name is taken."""
        group = Group(
            id,
            about["bundles"],
            about["strategy"],
            name=about["name"],
            namespace=about["namespace"],
            detached=about["detached"],
            selectors=[conditions(selector) for selector in about["selectors"]],
            target=about["target"],
            alike=about["alike"],
        )
        async with self._lock:
            await self._refresh()
            if not self.groups.create(group):
                return False
            self.details[id] = {name: about[name] for name in ("client", "job_id", "detached")}
            await self._carry_out()
        self._look()
        return True

    async def on_remove_group(self, _client: str, id: str) -> None:
        """A group is not wanted any more. Returns when what ran in it has ended."""
        async with self._lock:
            self.groups.remove(id)
            await self._carry_out()
        self._look()

    async def on_find_group(
        self, _client: str, name: str, namespace: str
    ) -> tuple[str, list[dict[str, float]]] | None:
        """The id and the bundles of a named group."""
        group = self.groups.find(name, namespace)
        return None if group is None else (group.id, [unscaled(bundle.demand) for bundle in group.bundles])

    async def on_group_table(self, _client: str, id: str) -> dict[str, dict[str, Any]]:
        """What is known of one group, or of all."""
        return self.groups.table(id)

    # -- events ----------------------------------------

    async def creator_left(self, client: str) -> None:
        """A driver has gone, and its groups that are not detached with it."""
        for group in list(self.groups.by_id.values()):
            if self.details[group.id]["client"] == client and not group.detached:
                await self.on_remove_group("", group.id)

    async def worker_left(self, address: str) -> None:
        """A Dask worker has gone: its bundles are to be placed anew."""
        async with self._lock:
            machine = self.machines.pop(address, None)
            for reserved in self._reserved.values():
                for index in [index for index, at in reserved.items() if at == address]:
                    del reserved[index]
            if machine is not None:
                self.groups.machine_left(machine)
                await self._carry_out()
        self._look()

    def gone(self, id: str) -> bool:
        """Whether a group was removed, or never was."""
        group = self.groups.by_id.get(id)
        return group is None or group.state == REMOVED

    # -- decisions ----------------------------------------

    def _look(self) -> None:
        """Look for room until no group waits."""
        if self.groups.waiting and not self._looking:
            self._looking = True
            self.registry.begin(self._settle())

    async def _settle(self) -> None:
        pause = _PAUSE
        try:
            while self.groups.waiting:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONG_PAUSE)
                async with self._lock:
                    await self._refresh()
                    self.groups.settle()
                    await self._carry_out()
        finally:
            self._looking = False

    async def _refresh(self) -> None:
        """Ask the Dask workers what they have and what is free."""
        for address in list(self.registry.scheduler.workers):
            if address not in self.registry.labels:
                continue  # it has just joined
            stock = await self.registry.tell(address, "stock")
            if stock is None:
                continue
            machine = self.machines.get(address)
            if machine is None:
                labels = self.registry.labels[address]
                machine = self.machines[address] = Machine(
                    len(self.machines), node_id_of(address), {}, labels
                )
            total, free, gpus = stock
            machine.resources = Resources(unscaled(total))
            machine.resources.free = free
            machine.resources.gpu_free = gpus

    async def _carry_out(self) -> None:
        """Do what the groups have decided."""
        while self.groups.out:
            what, subject = self.groups.out.pop(0)
            if what == "created":
                await self._reserve(subject)
            elif what == "removed":
                await self._end(subject)
            elif what == "infeasible":
                self._warn(subject)

    async def _reserve(self, group: Group) -> None:
        """Have the Dask workers set a group's new bundles aside; if one can't, the group waits on."""
        reserved = self._reserved.setdefault(group.id, {})
        addresses = {machine.id: address for address, machine in self.machines.items()}
        fresh: dict[str, dict[int, dict[str, int]]] = {}
        for bundle in group.bundles:
            if bundle.index not in reserved and bundle.machine is not None:
                fresh.setdefault(addresses[bundle.machine.id], {})[bundle.index] = bundle.demand
        done: list[str] = []
        for address, demands in fresh.items():
            if not await self.registry.tell(address, "reserve", group.id, demands):
                break
            done.append(address)
        else:
            for address, demands in fresh.items():
                reserved.update(dict.fromkeys(demands, address))
                await self.registry.tell(address, "open", group.id)
                self.registry.place_waiting(address)
            return
        for address in done:
            await self.registry.tell(address, "unreserve", group.id, list(fresh[address]))
        for bundle in group.bundles:
            if bundle.index not in reserved:
                bundle.give_back()
        group.state = RESCHEDULING if reserved else PENDING
        self.groups.waiting[group.id] = group

    async def _end(self, group: Group) -> None:
        """End what runs in a removed group or waits for it, and free its bundles."""
        self.registry.end_in_group(group.id)
        addresses = set(self._reserved.pop(group.id, {}).values())
        for address in addresses:
            await self.registry.tell(address, "close", group.id)
        self.groups.freed(group)
        if addresses:
            self.registry.begin(self._forget(group.id, addresses))

    async def _forget(self, id: str, addresses: set[str]) -> None:
        """Have Dask forget a removed group's resources, once it has no task any more that names them."""
        workers = self.registry.scheduler.workers
        mark = group_mark(id)
        while any(
            mark in (task.resource_restrictions or ()) for w in workers.values() for task in w.processing
        ):
            await asyncio.sleep(_LONG_PAUSE)
        for address in addresses & workers.keys():
            worker = workers[address]
            for name in [name for name in worker.resources if name.endswith(f"_{id}")]:
                del worker.resources[name]
                worker.used_resources.pop(name, None)
                self.registry.scheduler.resources[name].pop(address, None)
            await self.registry.tell(address, "forget", id)

    def _warn(self, group: Group) -> None:
        bundles = [unscaled(bundle.demand) for bundle in group.bundles]
        text = (
            f"placement group {group.name or group.id} ({group.strategy}) needs {bundles}, which the Dask workers that there are can't "
            "hold: it waits until some join that can. Ask for less, or remove it."
        )
        topic = remote.topic_of(self.details[group.id]["client"])
        self.registry.scheduler.log_event(topic, ["warn", text])


def group_mark(id: str) -> str:
    """The resource, by Dask's name, that whatever runs in a group asks for."""
    return remote.resource_name(f"bundle_group_{id}")


def group_in(restrictions: Mapping[str, float] | None) -> str | None:
    """The id of the group that a Dask task's resources are of."""
    start = remote.resource_name("bundle_group_")
    for name in restrictions or ():
        if name.startswith(start) and "_" not in name[len(start) :]:
            return name[len(start) :]
    return None
