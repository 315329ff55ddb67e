"""Placement groups' lives: what is reserved is reserved once, and is free again in the end."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from skate.engine.placement.groups import CREATED, PENDING, REMOVED, RESCHEDULING, Group, Groups
from skate.engine.placement.machines import Machine, Machines
from skate.engine.placement.packing import pack

_ANY = st.integers(0, 1000)
_BUNDLE = st.sampled_from([{"CPU": 1.0}, {"CPU": 0.5}, {"CPU": 2.0, "GPU": 0.5}, {"GPU": 1.0}, {"x": 1.0}])


class Lives(RuleBasedStateMachine):
    """The groups, with machines that come and go."""

    @initialize(cpus=st.integers(1, 4))
    def begin(self, cpus: int) -> None:
        self.machines = Machines(Machine(0, "m0", {"CPU": cpus, "GPU": 1, "x": 1}, {}))
        self.groups = Groups(self.machines)
        self.states: dict[str, str] = {}
        self.next_id = 0

    def carry_out(self) -> None:
        """Hear what was decided, and check that each is told once."""
        for what, subject in self.groups.out:
            if what == "created":
                assert self.states[subject.id] in (PENDING, RESCHEDULING), "created twice, or after removal"
                self.states[subject.id] = CREATED
            elif what == "removed":
                assert self.states[subject.id] != REMOVED, "removed twice"
                self.states[subject.id] = REMOVED
                self.groups.freed(subject)
            elif what == "evicted" and self.states[subject.group.id] == CREATED:
                self.states[subject.group.id] = RESCHEDULING
        self.groups.out.clear()

    @rule(
        bundles=st.lists(_BUNDLE, min_size=1, max_size=3),
        strategy=st.sampled_from(["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"]),
        name=st.sampled_from(["", "", "a", "b"]),
        client=st.integers(0, 2),
        detached=st.booleans(),
    )
    def create(
        self, bundles: list[dict[str, float]], strategy: str, name: str, client: int, detached: bool
    ) -> None:
        id = str(self.next_id)
        self.next_id += 1
        taken = self.groups.find(name, "") is not None if name else False
        self.states[id] = PENDING
        group = Group(id, bundles, strategy, name=name, creator=client, detached=detached)
        assert self.groups.create(group) != taken
        if taken:
            del self.states[id]
        self.carry_out()

    @precondition(lambda self: self.states)
    @rule(which=_ANY)
    def remove(self, which: int) -> None:
        id = sorted(self.states)[which % len(self.states)]
        self.groups.remove(id)
        self.carry_out()
        assert self.states[id] == REMOVED
        self.groups.settle()
        self.carry_out()

    @rule(client=st.integers(1, 2))
    def creator_leaves(self, client: int) -> None:
        self.groups.creator_left(client)
        self.carry_out()
        self.groups.settle()
        self.carry_out()
        for group in self.groups.by_id.values():
            assert group.detached or group.creator != client or group.state == REMOVED

    @rule(cpus=st.integers(1, 3))
    def machine_joins(self, cpus: int) -> None:
        number = len(self.machines.by_id)
        self.machines.add(Machine(number, f"m{number}", {"CPU": cpus, "GPU": 1}, {}))
        self.groups.settle()
        self.carry_out()

    @rule(which=_ANY)
    def machine_leaves(self, which: int) -> None:
        alive = [machine for machine in self.machines if machine.number]
        if alive:
            machine = alive[which % len(alive)]
            machine.alive = False
            self.groups.machine_left(machine)
            self.groups.settle()
            self.carry_out()

    @invariant()
    def states_agree(self) -> None:
        assert {id: group.state for id, group in self.groups.by_id.items()} == self.states
        named = {group.name for group in self.groups.by_id.values() if group.name and group.state != REMOVED}
        assert named == {name for _space, name in self.groups.names}

    @invariant()
    def books_balance(self) -> None:
        for machine in self.machines:
            held: dict[str, int] = {}
            for group in self.groups.by_id.values():
                for bundle in group.bundles:
                    if bundle.machine is machine:
                        assert group.state != REMOVED
                        for name, amount in bundle.demand.items():
                            held[name] = held.get(name, 0) + amount
            for name, total in machine.resources.total.items():
                assert machine.resources.free[name] == total - held.get(name, 0)
                assert machine.resources.free[name] >= 0

    @invariant()
    def created_means_whole_and_in_keeping_with_the_strategy(self) -> None:
        for group in self.groups.by_id.values():
            places = [bundle.machine for bundle in group.bundles]
            if group.state != CREATED:
                assert group.state == REMOVED or None in places
                continue
            assert all(machine is not None and machine.alive for machine in places)
            if group.strategy == "STRICT_PACK":
                assert len(set(places)) == 1
            if group.strategy == "STRICT_SPREAD":
                assert len(set(places)) == len(places)

    @invariant()
    def nobody_waits_for_what_is_free(self) -> None:
        for group in self.groups.waiting.values():
            missing = [bundle for bundle in group.bundles if bundle.machine is None]
            having = [bundle.machine for bundle in group.bundles if bundle.machine is not None]
            demands = [bundle.demand for bundle in missing]
            selectors = [bundle.selector for bundle in missing]
            assert pack(demands, selectors, group.strategy, self.machines, avoid=having) is None

    def teardown(self) -> None:
        for id in list(getattr(self, "states", {})):
            self.groups.remove(id)
            self.carry_out()
        for machine in getattr(self, "machines", ()):
            assert machine.resources.free == machine.resources.total


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_bundles_show_among_the_resources_as_long_as_they_are_reserved() -> None:
    groups = Groups(Machines(Machine(0, "m0", {"CPU": 4, "GPU": 1}, {})))
    group = Group("g", [{"CPU": 1, "GPU": 0.5}, {"CPU": 2}], "PACK")
    groups.create(group)
    assert groups.amounts(free=True) == {
        "CPU_group_0_g": 1.0,
        "CPU_group_1_g": 2.0,
        "CPU_group_g": 3.0,
        "GPU_group_0_g": 0.5,
        "GPU_group_g": 0.5,
        "bundle_group_0_g": 1000.0,
        "bundle_group_1_g": 1000.0,
        "bundle_group_g": 2000.0,
    }
    group.bundles[1].resources.acquire({"CPU": 10_000})
    group.bundles[1].users = 1
    free = groups.amounts(free=True)
    assert (free["CPU_group_1_g"], free["CPU_group_g"], free["bundle_group_g"]) == (1.0, 2.0, 1999.999)
    assert groups.amounts(free=False)["CPU_group_g"] == 3.0
    groups.remove("g")
    assert groups.amounts(free=False) == {}
