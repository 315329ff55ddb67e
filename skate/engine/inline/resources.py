"""Who holds what of the one machine that there is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from skate._memory import machine_memory
from skate.core import devices
from skate.engine.placement.choice import Choice, Place
from skate.engine.placement.groups import REMOVED, Bundle, Groups
from skate.engine.placement.machines import Machine, Machines
from skate.engine.placement.resources import UNIT, unscale
from skate.engine.placement.where import GROUP, Where

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skate.engine.base import InitConfig


class Holding:
    """What one running task or actor holds, and where."""

    __slots__ = ("held", "place", "resources")

    def __init__(self, place: Place, demand: Mapping[str, int]) -> None:
        self.place = place
        self.resources = place.resources
        self.held = place.resources.acquire(demand)
        if isinstance(place, Bundle):
            place.users += 1

    @property
    def gpus(self) -> list[int]:
        """The numbers of its GPUs."""
        return sorted(self.held.gpus)

    @property
    def amounts(self) -> dict[str, float]:
        """The amounts that it holds, without zeros."""
        return unscale({name: amount for name, amount in self.held.amounts.items() if amount})


class Ledger:
    """The resources of the session: those of its one machine, and what placement groups have reserved of them."""

    def __init__(self, total: Mapping[str, float], labels: Mapping[str, str], machine_id: str) -> None:
        self.machine = Machine(0, machine_id, total, labels)
        self.machines = Machines(self.machine)
        self.groups = Groups(self.machines)
        self.choice = Choice(self.machines, self.groups)

    def shortage(self, demand: Mapping[str, int], where: Where) -> str:
        """Why `demand` can never be met, in words; empty if it can, or if that is for a placement group to tell."""
        if where[0] == GROUP:
            return ""
        total = self.machine.resources.total
        lacking = [
            f"{name} {amount / UNIT:g} (the session has {total.get(name, 0) / UNIT:g})"
            for name, amount in demand.items()
            if total.get(name, 0) < amount
        ]
        if not lacking and not self.choice.places(where, demand, self.machine.id):
            lacking = [f"a node with other labels than {self.machine.labels}"]
        return ", ".join(lacking)

    def refusal(self, demand: Mapping[str, int], where: Where) -> tuple[str, str]:
        """(kind, text) of why what waits will not be let in at all; ("", "") if it may be."""
        if where[0] == GROUP:
            group = self.groups.by_id.get(where[2])
            if group is None or group.state == REMOVED:
                return "group", f"placement group {where[2]} has been removed"
            return "", ""
        text = self.choice.impossible(where, demand)
        return ("unschedulable", text) if text else ("", "")

    def take(self, demand: Mapping[str, int], where: Where) -> Holding | None:
        """Take `demand` if it is free now."""
        for place in self.choice.places(where, demand, self.machine.id):
            if place.resources.fits(demand):
                return Holding(place, demand)
        return None

    def give_back(self, holding: Holding) -> None:
        """Free all that is held."""
        holding.resources.release(holding.held)
        place = holding.place
        if isinstance(place, Bundle) and place.resources is holding.resources:
            place.users -= 1

    def keep_only(self, holding: Holding, demand: Mapping[str, int]) -> None:
        """Free what is held beyond `demand`, such as the CPU that an actor needs only to be created."""
        holding.resources.resize(holding.held, dict(demand))

    def lend_cpu(self, holding: Holding) -> None:
        """Whoever waits does not use its CPU."""
        holding.resources.lend_cpu(holding.held)

    def take_cpu_back(self, holding: Holding) -> None:
        """It goes on, though the CPU may have been given to another meanwhile: what is free can be below zero."""
        holding.resources.take_cpu_back(holding.held)

    def amounts(self, free: bool) -> dict[str, float]:
        """All there is, or what nobody holds."""
        own = self.machine.resources.free if free else self.machine.resources.total
        return {**unscale({n: a for n, a in own.items() if a > 0}), **self.groups.amounts(free)}


def total_resources(config: InitConfig) -> dict[str, float]:
    """What a session has: as asked for, or as this machine has."""
    cpus = config.num_cpus if config.num_cpus is not None else len(os.sched_getaffinity(0))
    gpus = config.num_gpus if config.num_gpus is not None else devices.count()
    machine = machine_memory()
    store = config.object_store_memory if config.object_store_memory is not None else int(machine * 0.3)
    total = {
        "CPU": float(cpus),
        "GPU": float(gpus),
        "memory": float(config.memory if config.memory is not None else int(machine * 0.7)),
        "object_store_memory": float(store),
        "node:127.0.0.1": 1.0,
        "node:__internal_head__": 1.0,
        **{name: float(amount) for name, amount in config.resources.items()},
    }
    return {name: amount for name, amount in total.items() if amount}
