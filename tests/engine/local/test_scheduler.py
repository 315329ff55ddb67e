"""Leases and places: never more than there is, never to the dead, and in the end to all who can have them."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from skate.engine.local.node.pool import ACTOR, LEASED
from skate.engine.local.node.scheduler import Scheduler
from skate.engine.placement.machines import Machine
from skate.engine.placement.resources import UNIT

_SHAPES: list[dict[str, int]] = [
    {"CPU": UNIT},
    {"CPU": 2 * UNIT},
    {"CPU": UNIT // 2},
    {},
    {"x": UNIT},
    {"CPU": UNIT, "x": UNIT},
    {"GPU": UNIT // 2},
    {"CPU": UNIT, "GPU": UNIT},
    {"CPU": 100 * UNIT},
]
_ENVS = ["", "other"]
_CLIENTS = st.integers(1, 3)
_LANES = st.integers(0, 2)
_ANY = st.integers(0, 1000)


class Pool(RuleBasedStateMachine):
    """The scheduler, with the world around it played by the rules."""

    @initialize(cpus=st.integers(1, 4))
    def begin(self, cpus: int) -> None:
        self.scheduler = Scheduler(Machine(0, "m0", {"CPU": cpus, "GPU": 2, "x": 1}, {}), keep_idle=2)
        self.now = 0.0
        self.next_worker = 10
        self.next_actor = 1
        self.clients = {1, 2, 3}
        self.starting: list[int] = []
        self.leases: dict[int, tuple[int, int]] = {}
        self.demand: dict[tuple[int, int], int] = {}
        self.waiting_actors: dict[int, dict[str, int]] = {}
        self.placed: dict[int, int] = {}
        self.doomed: set[int] = set()
        self.asked: set[int] = set()

    def carry_out(self) -> None:
        """Do what the scheduler says, and check that it may say so."""
        while self.scheduler.out:
            instructions, self.scheduler.out = self.scheduler.out, []
            for what, *rest in instructions:
                getattr(self, f"do_{what}")(*rest)

    def do_start(self, env: str, machine: str) -> None:
        number, self.next_worker = self.next_worker, self.next_worker + 1
        self.scheduler.worker_started(number, env, machine)
        self.starting.append(number)

    def do_grant(self, client: int, lane: int, number: int) -> None:
        assert client in self.clients, "a lease was granted to a dead client"
        assert number not in self.leases and number not in self.placed.values(), "a worker was granted twice"
        assert number not in self.starting, "a worker was granted that is not ready"
        assert number not in self.doomed
        self.leases[number] = (client, lane)
        self.asked.discard(number)  # it may have been asked for while it was on its way back
        mine = [key for key in self.leases.values() if key == (client, lane)]
        assert len(mine) <= self.demand[client, lane], "more leases than were asked for"
        shape = self.scheduler.lanes[client, lane].resources
        assert all(self.scheduler.resources.free[name] >= 0 for name in shape), "granted what was not free"

    def do_place(self, actor: int, number: int) -> None:
        assert number not in self.leases and number not in self.starting and number not in self.doomed
        shape = self.waiting_actors.pop(actor)
        assert all(self.scheduler.resources.free[name] >= 0 for name in shape), "placed on what was not free"
        self.placed[actor] = number

    def do_reclaim(self, client: int, number: int) -> None:
        assert number not in self.asked, "asked for the same lease twice"
        if number in self.leases:
            assert self.leases[number][0] == client
        self.asked.add(number)

    def do_kill(self, number: int, why: str) -> None:
        assert number in self.scheduler.workers
        self.doomed.add(number)

    # -- the world -----------------------------------------------------------------------------------------

    @rule(
        client=_CLIENTS,
        lane=_LANES,
        shape=st.sampled_from(_SHAPES),
        env=st.sampled_from(_ENVS),
        count=st.integers(0, 5),
    )
    def ask(self, client: int, lane: int, shape: dict[str, int], env: str, count: int) -> None:
        if client not in self.clients:
            return
        if (client, lane) not in self.demand:
            feasible = self.scheduler.open_lane(client, lane, dict(shape), env)
            assert feasible == all(self.scheduler.resources.total.get(n, 0) >= a for n, a in shape.items())
        self.demand[client, lane] = count
        self.scheduler.set_demand(client, lane, count)
        self.carry_out()

    @precondition(lambda self: self.starting)
    @rule(which=_ANY)
    def worker_is_ready(self, which: int) -> None:
        number = self.starting.pop(which % len(self.starting))
        self.scheduler.worker_ready(number, self.now)
        self.carry_out()

    @precondition(lambda self: self.leases)
    @rule(which=_ANY)
    def give_back(self, which: int) -> None:
        number = sorted(self.leases)[which % len(self.leases)]
        if number in self.doomed:
            return
        self._give_back(number)

    def _give_back(self, number: int) -> None:
        client, lane = self.leases.pop(number)
        self.asked.discard(number)
        self.demand[client, lane] = max(0, self.demand[client, lane] - 1)
        self.scheduler.set_demand(client, lane, self.demand[client, lane])
        self.scheduler.release(client, number, self.now)
        self.carry_out()

    @precondition(lambda self: self.leases or self.placed)
    @rule(which=_ANY)
    def block(self, which: int) -> None:
        numbers = sorted([*self.leases, *self.placed.values()])
        self.scheduler.blocked(numbers[which % len(numbers)])
        self.carry_out()

    @precondition(lambda self: self.leases or self.placed)
    @rule(which=_ANY)
    def unblock(self, which: int) -> None:
        numbers = sorted([*self.leases, *self.placed.values()])
        self.scheduler.unblocked(numbers[which % len(numbers)])
        self.carry_out()

    @precondition(lambda self: self.scheduler.workers)
    @rule(which=_ANY)
    def worker_dies(self, which: int) -> None:
        numbers = sorted(self.scheduler.workers)
        self._bury(numbers[which % len(numbers)])

    def _bury(self, number: int) -> None:
        lease = self.leases.pop(number, None)
        self.doomed.discard(number)
        self.asked.discard(number)
        if number in self.starting:
            self.starting.remove(number)
        self.placed = {actor: worker for actor, worker in self.placed.items() if worker != number}
        assert self.scheduler.worker_died(number) == lease
        self.carry_out()

    @precondition(lambda self: self.doomed)
    @rule()
    def the_doomed_die(self) -> None:
        for number in sorted(self.doomed):
            self._bury(number)

    @rule(client=_CLIENTS)
    def client_leaves(self, client: int) -> None:
        if client not in self.clients:
            return
        self.clients.discard(client)
        self.demand = {key: count for key, count in self.demand.items() if key[0] != client}
        self.scheduler.client_left(client)
        self.carry_out()
        ours = {number for number, key in self.leases.items() if key[0] == client}
        assert ours <= self.doomed, "a worker that runs for a dead client lives on"

    @rule(shape=st.sampled_from(_SHAPES), env=st.sampled_from(_ENVS))
    def actor_is_made(self, shape: dict[str, int], env: str) -> None:
        actor, self.next_actor = self.next_actor, self.next_actor + 1
        self.waiting_actors[actor] = shape
        self.scheduler.want_actor(actor, dict(shape), env)
        self.carry_out()

    @precondition(lambda self: self.waiting_actors)
    @rule(which=_ANY)
    def actor_is_dropped(self, which: int) -> None:
        actor = sorted(self.waiting_actors)[which % len(self.waiting_actors)]
        del self.waiting_actors[actor]
        self.scheduler.drop_actor(actor)
        self.carry_out()

    @precondition(lambda self: self.placed)
    @rule(which=_ANY)
    def actor_is_constructed(self, which: int) -> None:
        actor = sorted(self.placed)[which % len(self.placed)]
        number = self.placed[actor]
        holding = self.scheduler.workers[number].holding
        assert holding is not None
        gpus = dict(holding.gpus)
        running = {name: amount for name, amount in holding.amounts.items() if name != "CPU"}
        self.scheduler.hold_only(number, running)
        after = self.scheduler.workers[number].holding
        assert after is not None and after.gpus == gpus, (
            "the actor was moved to another GPU than it was told of"
        )
        self.carry_out()

    @rule(seconds=st.sampled_from([0.0, 1.0, 6.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.scheduler.tick(self.now)
        self.carry_out()

    # -- what always holds ---------------------------------------------------------------------------------

    @invariant()
    def books_balance(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        resources = self.scheduler.resources
        held = dict.fromkeys(resources.total, 0)
        for worker in self.scheduler.workers.values():
            if worker.holding is not None:
                for name, amount in worker.holding.amounts.items():
                    held[name] += 0 if worker.blocked and name == "CPU" else amount
        for name, total in resources.total.items():
            assert resources.free[name] + held[name] == total, name
            assert name == "CPU" or resources.free[name] >= 0, name
        assert set(self.leases) == {n for n, w in self.scheduler.workers.items() if w.state == LEASED}
        assert set(self.placed.values()) == {n for n, w in self.scheduler.workers.items() if w.state == ACTOR}

    @invariant()
    def the_starved_have_had_leases_asked_back(self) -> None:
        if not hasattr(self, "scheduler"):
            return
        resources = self.scheduler.resources
        for key, count in self.demand.items():
            lane = self.scheduler.lanes[key]
            starved = count > len(lane.granted) and not resources.fits(lane.resources)
            if not starved or not resources.feasible(lane.resources):
                continue
            others = [
                number
                for number, owner in self.leases.items()
                if owner != key and not self.scheduler.workers[number].blocked and number not in self.doomed
            ]
            assert not others or self.asked or self.doomed, "somebody starves and no lease is asked back"

    def teardown(self) -> None:
        """When everybody gives back what they have, everybody who can be served is."""
        if not hasattr(self, "scheduler"):
            return
        for _round in range(400):
            for number in sorted(self.doomed):
                self._bury(number)
            for number in list(self.starting):
                self.starting.remove(number)
                self.scheduler.worker_ready(number, self.now)
                self.carry_out()
            for number in sorted(self.leases):
                if number in self.leases and number not in self.doomed:
                    self.scheduler.unblocked(number)
                    self._give_back(number)
            for actor in sorted(self.placed):
                self.do_kill(self.placed[actor], "")
            if not (self.doomed or self.starting or self.leases or self.placed):
                break
        feasible = self.scheduler.resources.feasible
        unserved = {
            key: n for key, n in self.demand.items() if n and feasible(self.scheduler.lanes[key].resources)
        }
        assert not unserved, "demands that fit were never granted"
        assert not [a for a, shape in self.waiting_actors.items() if feasible(shape)], (
            "actors were never placed"
        )
        assert self.scheduler.resources.free == self.scheduler.resources.total


TestPool = Pool.TestCase
TestPool.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def _ready_workers(scheduler: Scheduler, count: int) -> None:
    scheduler.prestart(count)
    scheduler.out.clear()
    for number in range(10, 10 + count):
        scheduler.worker_started(number, "")
        scheduler.worker_ready(number, 0.0)


def _said(scheduler: Scheduler, what: str) -> list[tuple[Any, ...]]:
    return [instruction for instruction in scheduler.out if instruction[0] == what]


def test_more_news_before_the_first_fork_starts_no_more_workers() -> None:
    scheduler = Scheduler(Machine(0, "m0", {"CPU": 2}, {}), keep_idle=2)
    for lane in range(8):
        scheduler.open_lane(1, lane, {"CPU": UNIT}, "")
        scheduler.set_demand(1, lane, 1)
    assert len(_said(scheduler, "start")) == 2


def test_a_lane_whose_worker_died_waits_for_another_one() -> None:
    scheduler = Scheduler(Machine(0, "m0", {"CPU": 1}, {}), keep_idle=1)
    _ready_workers(scheduler, 1)
    scheduler.open_lane(1, 0, {"CPU": UNIT}, "")
    scheduler.set_demand(1, 0, 1)
    scheduler.worker_died(10)
    assert _said(scheduler, "start") == [("start", "", "m0")]
    scheduler.worker_started(11, "")
    scheduler.worker_ready(11, 0.0)
    assert _said(scheduler, "grant") == [("grant", 1, 0, 10), ("grant", 1, 0, 11)]


def test_a_lease_is_asked_back_from_who_was_blocked_when_somebody_began_to_starve() -> None:
    scheduler = Scheduler(Machine(0, "m0", {"CPU": 1}, {}), keep_idle=1)
    _ready_workers(scheduler, 1)
    scheduler.open_lane(1, 0, {"CPU": UNIT}, "")
    scheduler.set_demand(1, 0, 1)
    scheduler.blocked(10)
    scheduler.open_lane(2, 0, {"CPU": UNIT}, "")
    scheduler.set_demand(2, 0, 1)
    scheduler.unblocked(10)
    assert _said(scheduler, "reclaim") == [("reclaim", 1, 10)]


def test_an_actor_keeps_the_gpu_it_was_told_of() -> None:
    scheduler = Scheduler(Machine(0, "m0", {"CPU": 4, "GPU": 2}, {}), keep_idle=1)
    _ready_workers(scheduler, 3)
    scheduler.open_lane(1, 0, {"GPU": 7000}, "")
    scheduler.set_demand(1, 0, 1)
    ((_, _, _, first),) = _said(scheduler, "grant")
    scheduler.want_actor(7, {"CPU": UNIT, "GPU": 5000}, "")
    ((_, _, second),) = _said(scheduler, "place")
    holding = scheduler.workers[second].holding
    assert holding is not None
    told = dict(holding.gpus)
    scheduler.set_demand(1, 0, 0)
    scheduler.release(1, first, 0.0)
    scheduler.hold_only(second, {"GPU": 5000})
    holding = scheduler.workers[second].holding
    assert holding is not None and holding.gpus == told


def test_idle_workers_beyond_the_cpus_are_ended_after_a_while() -> None:
    scheduler = Scheduler(Machine(0, "m0", {"CPU": 2}, {}), keep_idle=2, idle_seconds=5.0)
    _ready_workers(scheduler, 5)
    scheduler.tick(4.0)
    assert _said(scheduler, "kill") == []
    scheduler.tick(5.1)
    assert len(_said(scheduler, "kill")) == 3


def test_a_closed_lane_is_forgotten_when_its_leases_are_back() -> None:
    scheduler = Scheduler(Machine(0, "m0", {"CPU": 2}, {}), keep_idle=2)
    _ready_workers(scheduler, 1)
    scheduler.open_lane(1, 0, {"CPU": UNIT}, "")
    scheduler.set_demand(1, 0, 1)
    ((_grant, _client, _lane, worker),) = _said(scheduler, "grant")
    scheduler.close_lane(1, 0)
    assert (1, 0) in scheduler.lanes, "somebody still has a lease of it"
    scheduler.release(1, worker, 0.0)
    assert not scheduler.lanes
    scheduler.close_lane(1, 0)


def test_a_closed_lane_whose_worker_dies_is_forgotten() -> None:
    scheduler = Scheduler(Machine(0, "m0", {"CPU": 2}, {}), keep_idle=2)
    _ready_workers(scheduler, 1)
    scheduler.open_lane(1, 0, {"CPU": UNIT}, "")
    scheduler.set_demand(1, 0, 2)
    ((_grant, _client, _lane, worker),) = _said(scheduler, "grant")
    scheduler.close_lane(1, 0)
    scheduler.worker_died(worker)
    assert not scheduler.lanes
    _ready_workers(scheduler, 1)
    assert not _said(scheduler, "grant"), "nobody waits any more"
