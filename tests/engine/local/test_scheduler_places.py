"""The scheduler with several machines and placement groups: who gets a worker where, and who is told that there is no place."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from skate.engine.local.node.scheduler import Scheduler
from skate.engine.placement.groups import Group
from skate.engine.placement.machines import Machine
from skate.engine.placement.resources import UNIT
from skate.engine.placement.where import GROUP, NODE, SPREAD, Where, conditions

_CPU = {"CPU": UNIT}


class World:
    """A scheduler whose workers are started as it asks."""

    def __init__(self, *cpus: float) -> None:
        first, *others = [
            Machine(n, f"m{n}", {"CPU": count}, {"zone": f"z{n}"}) for n, count in enumerate(cpus)
        ]
        self.scheduler = Scheduler(first, keep_idle=2)
        for machine in others:
            self.scheduler.machine_joined(machine)
        self.next = 10
        self.said: list[tuple[Any, ...]] = []

    def settle(self) -> None:
        """Carry out what is said, until nothing more is."""
        while self.scheduler.out:
            instructions, self.scheduler.out = self.scheduler.out, []
            self.said += instructions
            for what, *rest in instructions:
                if what == "start":
                    self.next += 1
                    self.scheduler.worker_started(self.next, *rest)
                    self.scheduler.worker_ready(self.next, 0.0)
                elif what == "kill":
                    self.scheduler.worker_died(rest[0])

    def ask(self, lane: int, count: int, where: Where, demand: dict[str, int] | None = None) -> None:
        """A client could use that many workers there."""
        self.scheduler.open_lane(1, lane, demand or _CPU, "", where, "m0")
        self.scheduler.set_demand(1, lane, count)
        self.settle()

    def granted(self) -> list[str]:
        """The machines of the workers that were leased, in order."""
        numbers = [rest[2] for what, *rest in self.said if what == "grant"]
        return [
            self.scheduler.workers[number].machine for number in numbers if number in self.scheduler.workers
        ]

    def heard(self, what: str) -> list[tuple[Any, ...]]:
        return [tuple(rest) for said, *rest in self.said if said == what]


def test_spread_takes_the_machines_in_turn() -> None:
    world = World(2, 2, 2)
    world.ask(0, 6, (SPREAD, ()))
    assert sorted(world.granted()[:3]) == ["m0", "m1", "m2"]
    assert sorted(world.granted()) == ["m0", "m0", "m1", "m1", "m2", "m2"]


def test_the_callers_own_machine_comes_first_until_it_is_half_busy() -> None:
    world = World(4, 4)
    world.ask(0, 3, ("", ()))
    assert world.granted() == ["m0", "m0", "m1"]


def test_labels_and_affinity_lead_to_their_machines() -> None:
    world = World(1, 1, 1)
    world.ask(0, 1, ("", (conditions({"zone": "z2"}),)))
    world.ask(1, 1, (NODE, (), "m1", False, False, False))
    assert world.granted() == ["m2", "m1"]


def test_hard_affinity_to_nobody_is_refused() -> None:
    world = World(1)
    world.ask(0, 1, (NODE, (), "m9", False, False, False))
    ((client, lane, why, text),) = world.heard("refuse")
    assert (client, lane, why) == (1, 0, "unschedulable")
    assert "m9" in text


def test_what_ran_on_a_dead_machine_is_granted_elsewhere() -> None:
    world = World(1, 1)
    world.ask(0, 2, ("", ()))
    assert sorted(world.granted()) == ["m0", "m1"]
    lost = world.scheduler.machine_left("m1", "")
    world.settle()
    assert len(lost) == 1
    world.scheduler.set_demand(1, 0, 1)
    world.settle()
    assert world.granted() == ["m0"]
    world.scheduler.machine_joined(Machine(2, "m2", {"CPU": 1}, {}))
    world.scheduler.set_demand(1, 0, 2)
    world.settle()
    assert world.granted() == ["m0", "m2"]


def test_a_removed_group_ends_its_workers_and_refuses_the_rest() -> None:
    world = World(2)
    assert world.scheduler.create_group(Group("g", [{"CPU": 1}, {"CPU": 1}], "PACK"))
    inside = (GROUP, (), "g", -1, False)
    world.ask(0, 3, inside)
    assert len(world.granted()) == 2
    assert world.scheduler.resources.free["CPU"] == 0
    world.scheduler.remove_group("g")
    world.settle()
    assert [why for _number, why in world.heard("kill")] == ["group", "group"]
    assert {refused[:3] for refused in world.heard("refuse")} == {(1, 0, "group")}
    assert world.scheduler.resources.free == world.scheduler.resources.total


@given(
    bundles=st.lists(st.sampled_from([{"CPU": 0.5}, {"CPU": 1.0}]), min_size=1, max_size=4),
    asks=st.lists(st.tuples(st.integers(-1, 3), st.integers(1, 3)), max_size=4),
)
def test_a_bundle_never_holds_more_than_it_reserved(
    bundles: list[dict[str, float]], asks: list[tuple[int, int]]
) -> None:
    world = World(2, 2)
    group = Group("g", bundles, "SPREAD")
    world.scheduler.create_group(group)
    for lane, (index, count) in enumerate(asks):
        world.ask(lane, count, (GROUP, (), "g", min(index, len(bundles) - 1), False), {"CPU": UNIT // 2})
    for bundle in group.bundles:
        assert 0 <= bundle.resources.free["CPU"] <= bundle.demand["CPU"]
        holders = [worker for worker in world.scheduler.workers.values() if worker.place is bundle]
        held = sum(worker.holding.amounts["CPU"] for worker in holders if worker.holding is not None)
        assert bundle.resources.free["CPU"] == bundle.demand["CPU"] - held
        assert bundle.users == len(holders)
    world.scheduler.remove_group("g")
    world.settle()
    for machine in world.scheduler.machines:
        assert machine.resources.free == machine.resources.total
