"""The places that a task or an actor may take, the best first.

Two questions about a place must be kept apart: whether it could ever hold the demand (feasible), and whether it has room now. `places`
answers the first and orders by preference; who asks takes the first that has room.
"""

from __future__ import annotations

from collections.abc import Mapping

from skate.engine.placement.groups import CREATED, Bundle, Groups
from skate.engine.placement.machines import Machine, Machines
from skate.engine.placement.where import GROUP, NODE, SPREAD, Where, meets

BUSY = 0.5
"""A machine that is less busy than that counts as idle: work gathers there before it goes elsewhere."""

Place = Machine | Bundle
Promises = Mapping[Place, Mapping[str, int]]
"""Amounts that are as good as taken, by place."""


class Choice:
    """Chooses among a session's machines and the bundles on them."""

    def __init__(self, machines: Machines, groups: Groups) -> None:
        self.machines = machines
        self.groups = groups
        self._turn = 0

    def places(
        self, where: Where, demand: Mapping[str, int], home: str, promised: Promises | None = None
    ) -> list[Place]:
        """Where the demand could be met, now or later, best first.

        Args:
            where: What is asked of the place.
            demand: What it must have.
            home: The id of the machine that asks: of two that are as good, it is taken.
            promised: What is as good as taken.
        """
        machines = self.machines
        if machines.single and where[0] in ("", SPREAD) and not where[1]:
            first = machines.first
            return [first] if first.resources.feasible(demand) else []
        if where[0] == GROUP:
            return self._bundles(where, demand)
        feasible = [machine for machine in machines if machine.resources.feasible(demand)]
        if where[0] == NODE:
            return self._at_node(where, demand, feasible, home, promised or {})
        order = self._in_turn if where[0] == SPREAD else self._by_room
        if not where[1]:
            return order(feasible, demand, home, promised or {})
        found: dict[Place, None] = {}
        for wanted in where[1]:
            matching = [machine for machine in feasible if meets(machine.labels, wanted)]
            found.update(dict.fromkeys(order(matching, demand, home, promised or {})))
        return list(found)

    def impossible(self, where: Where, demand: Mapping[str, int]) -> str:
        """Why the demand will never be met, however long it waits; empty if it may."""
        if where[0] != NODE or where[3]:
            return ""
        machine = self.machines.get(where[2])
        if machine is None:
            return f"its node affinity is hard, and there is no node {where[2]} (any more). Use soft=True."
        if not machine.resources.feasible(demand):
            return (
                f"its node affinity is hard, and node {where[2]} can never have what it needs. Use soft=True."
            )
        if where[5] and not machine.resources.fits(demand):
            return f"node {where[2]} has no room now, and it was not to wait (_fail_on_unavailable)."
        return ""

    def taken(self, where: Where, place: Place) -> None:
        """Something has been placed: the next in turn comes after it."""
        if where[0] == SPREAD and place.machine is not None:
            self._turn = place.machine.number + 1

    def _bundles(self, where: Where, demand: Mapping[str, int]) -> list[Place]:
        group = self.groups.by_id.get(where[2])
        if group is None or group.state != CREATED:
            return []
        chosen = group.bundles if where[3] < 0 else [group.bundles[where[3]]]
        return [bundle for bundle in chosen if bundle.resources.feasible(demand)]

    def _at_node(
        self,
        where: Where,
        demand: Mapping[str, int],
        feasible: list[Machine],
        home: str,
        promised: Promises,
    ) -> list[Place]:
        _kind, _alternatives, id, soft, spill, _fail = where
        wanted: list[Place] = [machine for machine in feasible if machine.id == id]
        if not soft:
            return wanted
        if wanted and not spill:
            return wanted
        others = [machine for machine in feasible if machine.id != id]
        return wanted + self._by_room(others, demand, home, promised)

    def _in_turn(
        self, machines: list[Machine], demand: Mapping[str, int], home: str, promised: Promises
    ) -> list[Place]:
        ordered = sorted(machines, key=lambda machine: machine.number)
        later = [machine for machine in ordered if machine.number >= self._turn]
        found: list[Place] = [*later, *(machine for machine in ordered if machine.number < self._turn)]
        if promised:
            found.sort(key=lambda place: sum(promised.get(place, {}).values()))
        return found

    def _by_room(
        self, machines: list[Machine], demand: Mapping[str, int], home: str, promised: Promises
    ) -> list[Place]:
        def rank(machine: Machine) -> tuple[bool, float, bool, int]:
            resources = machine.resources
            spared = "GPU" in resources.total and "GPU" not in demand
            busy = resources.utilization(demand)
            for name, amount in promised.get(machine, {}).items():
                if resources.total.get(name) and name in demand:
                    busy = max(busy, 1 - (resources.free[name] - amount) / resources.total[name])
            return (spared, 0.0 if busy < BUSY else busy, machine.id != home, machine.number)

        return [*sorted(machines, key=rank)]
