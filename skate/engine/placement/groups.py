"""Placement groups' lives: pending until all bundles have a machine, created, rescheduled when a machine dies, removed. Pure.

Events are method calls; what must be done about them is appended to `out`:

    ("created", group)       all its bundles are reserved: tell whoever waits for it
    ("removed", group)       it is gone: end what runs in it, fail what waits for it
    ("evicted", bundle)      the bundle's machine is gone: what ran in it has no place any more
    ("infeasible", group)    no machines that there are could ever hold it
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from skate.engine.placement.packing import pack
from skate.engine.placement.resources import UNIT, Holding, Resources, scale, unscale

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from skate.engine.placement.machines import Machine
    from skate.engine.placement.where import Conditions

PENDING = "PENDING"
CREATED = "CREATED"
RESCHEDULING = "RESCHEDULING"
REMOVED = "REMOVED"

_MARKS = 1000.0
"""A bundle is itself a resource of that amount, of which each of its users shows a thousandth of one."""
_REMEMBERED = 1000
"""Removed groups that the table still shows."""


class Bundle:
    """One reservation. It is a place, as a machine is."""

    __slots__ = ("demand", "group", "holding", "index", "machine", "resources", "selector", "users")

    def __init__(self, group: Group, index: int, amounts: Mapping[str, float], selector: Conditions) -> None:
        self.group = group
        self.index = index
        self.demand = scale(amounts)
        self.selector = selector
        self.machine: Machine | None = None
        self.holding: Holding | None = None
        self.resources = Resources(unscale(self.demand), {})
        self.users = 0

    def reserve(self, machine: Machine) -> None:
        """Take from the machine, where it fits."""
        self.machine = machine
        self.holding = machine.resources.acquire(self.demand)
        self.resources = Resources(unscale(self.demand), self.holding.gpus)
        self.users = 0

    def give_back(self) -> None:
        """Give the reservation back."""
        if self.machine is not None and self.holding is not None:
            self.machine.resources.release(self.holding)
        self.machine = self.holding = None


class Group:
    """One placement group."""

    __slots__ = (
        "alike",
        "attempts",
        "bundles",
        "creator",
        "detached",
        "id",
        "infeasible",
        "name",
        "namespace",
        "state",
        "strategy",
        "target",
    )

    def __init__(
        self,
        id: str,
        bundles: Sequence[Mapping[str, float]],
        strategy: str,
        *,
        name: str = "",
        namespace: str = "",
        detached: bool = False,
        creator: int = 0,
        selectors: Sequence[Conditions] = (),
        target: str = "",
        alike: Sequence[str] = (),
    ) -> None:
        self.id = id
        self.name = name
        self.namespace = namespace
        self.strategy = strategy
        self.detached = detached
        self.creator = creator
        self.target = target
        self.alike = tuple(alike)
        self.state = PENDING
        self.infeasible = False
        self.attempts = 0
        padded = list(selectors) or [()] * len(bundles)
        self.bundles = [Bundle(self, i, b, padded[i]) for i, b in enumerate(bundles)]


class Groups:
    """All placement groups of a session."""

    def __init__(self, machines: Iterable[Machine]) -> None:
        self.machines = machines
        self.by_id: dict[str, Group] = {}
        self.names: dict[tuple[str, str], Group] = {}
        self.out: list[tuple[Any, ...]] = []
        self.waiting: dict[str, Group] = {}
        """Those that want machines, in order of their creation."""

    # -- events ----------------------------------------

    def create(self, group: Group) -> bool:
        """A group is wanted. False if its name is taken: then nothing has happened."""
        if group.name:
            if (group.namespace, group.name) in self.names:
                return False
            self.names[group.namespace, group.name] = group
        self.by_id[group.id] = group
        self.waiting[group.id] = group
        self.settle()
        return True

    def remove(self, id: str) -> None:
        """A group is not wanted any more."""
        group = self.by_id.get(id)
        if group is None or group.state == REMOVED:
            return
        group.state = REMOVED
        self.waiting.pop(id, None)
        if self.names.get((group.namespace, group.name)) is group:
            del self.names[group.namespace, group.name]
        self.out.append(("removed", group))
        removed = [each for each in self.by_id.values() if each.state == REMOVED]
        if len(removed) > _REMEMBERED:
            del self.by_id[removed[0].id]

    def freed(self, group: Group) -> None:
        """What ran in a removed group has been ended: its reservations are free."""
        for bundle in group.bundles:
            bundle.give_back()

    def machine_left(self, machine: Machine) -> None:
        """A machine is gone, and with it the bundles on it: they are to be placed anew."""
        for group in self.by_id.values():
            hit = [bundle for bundle in group.bundles if bundle.machine is machine]
            if not hit or group.state == REMOVED:
                continue
            for bundle in hit:
                self.out.append(("evicted", bundle))
                bundle.give_back()
            if group.state == CREATED:
                group.state = RESCHEDULING
            self.waiting[group.id] = group

    def creator_left(self, client: int) -> None:
        """A driver is gone, and with it its groups that are not detached."""
        for group in list(self.by_id.values()):
            if group.creator == client and not group.detached:
                self.remove(group.id)

    # -- decisions ----------------------------------------

    def settle(self) -> bool:
        """Reserve for the groups that wait, in order, what can be reserved. True if one has been created."""
        created = False
        for group in list(self.waiting.values()):
            created = self._place(group) or created
        return created

    def _place(self, group: Group) -> bool:
        missing = [bundle for bundle in group.bundles if bundle.machine is None]
        demands = [bundle.demand for bundle in missing]
        selectors = [bundle.selector for bundle in missing]
        having = [bundle.machine for bundle in group.bundles if bundle.machine is not None]
        group.attempts += 1
        place = partial(
            pack, demands, selectors, group.strategy, self.machines, avoid=having, alike=group.alike
        )
        chosen = place(target=group.target)
        if chosen is None:
            possible = place(emptied=True)
            if possible is None and not group.infeasible:
                self.out.append(("infeasible", group))
            group.infeasible = possible is None
            return False
        for bundle, machine in zip(missing, chosen, strict=True):
            bundle.reserve(machine)
        group.infeasible = False
        group.state = CREATED
        del self.waiting[group.id]
        self.out.append(("created", group))
        return True

    # -- facts ----------------------------------------

    def find(self, name: str, namespace: str) -> Group | None:
        """The group of that name."""
        return self.names.get((namespace, name))

    def table(self, id: str = "") -> dict[str, dict[str, Any]]:
        """What `placement_group_table` shows, by id: of one group, or of all."""
        chosen = [self.by_id[id]] if id in self.by_id else [] if id else list(self.by_id.values())
        return {group.id: _row(group) for group in chosen}

    def amounts(self, free: bool) -> dict[str, float]:
        """The resources by which bundles show among those of the session: free, or in all."""
        found: dict[str, float] = {}
        for group in self.by_id.values():
            for bundle in group.bundles:
                if bundle.machine is None or group.state == REMOVED:
                    continue
                own = unscale(bundle.resources.free if free else bundle.resources.total)
                own["bundle"] = _MARKS - (bundle.users / 1000 if free else 0)
                for name, amount in own.items():
                    if amount > 0:
                        found[f"{name}_group_{bundle.index}_{group.id}"] = amount
                        whole = f"{name}_group_{group.id}"
                        found[whole] = round(found.get(whole, 0.0) + amount, 4)
        return found


def _row(group: Group) -> dict[str, Any]:
    if group.state == REMOVED:
        scheduling = "REMOVED"
    elif group.state == CREATED:
        scheduling = "FINISHED"
    else:
        scheduling = "INFEASIBLE" if group.infeasible else "QUEUED"
    return {
        "placement_group_id": group.id,
        "name": group.name,
        "bundles": {bundle.index: unscale(bundle.demand) for bundle in group.bundles},
        "bundles_to_node_id": {
            bundle.index: "" if bundle.machine is None else bundle.machine.id for bundle in group.bundles
        },
        "strategy": group.strategy,
        "state": group.state,
        "stats": {
            "end_to_end_creation_latency_ms": 0.0,
            "scheduling_latency_ms": 0.0,
            "scheduling_attempt": group.attempts,
            "highest_retry_delay_ms": 0.0,
            "scheduling_state": scheduling,
        },
    }


__all__ = ["CREATED", "PENDING", "REMOVED", "RESCHEDULING", "UNIT", "Bundle", "Group", "Groups"]
