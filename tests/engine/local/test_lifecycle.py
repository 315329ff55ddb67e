"""Actors' lives: restarts are counted, names are freed at death, the dead are left alone."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from skate.engine.local.node.lifecycle import ALIVE, DEAD, PENDING, RESTARTING, Actor, ActorTable

_ANY = st.integers(0, 1000)


def _actor(
    key: int, creator: int = 1, name: str = "", detached: bool = False, max_restarts: int = 0
) -> Actor:
    return Actor(key, creator, {"meta": b""}, name, "space", detached, max_restarts, {"CPU": 1}, {})


class Lives(RuleBasedStateMachine):
    """The table, with a model of what each actor has been through."""

    @initialize()
    def begin(self) -> None:
        self.table = ActorTable()
        self.next_key = 1
        self.next_worker = 100
        self.model: dict[int, Actor] = {}
        self.unstarted: set[int] = set()
        self.wanted: set[int] = set()
        self.workers: dict[int, int] = {}
        self.under_construction: set[int] = set()
        self.deaths: dict[int, int] = {}
        self.forgotten: set[int] = set()
        self.sentenced: set[int] = set()

    def carry_out(self) -> None:
        instructions, self.table.out = self.table.out, []
        for what, *rest in instructions:
            getattr(self, f"do_{what}")(*rest)

    def do_want(self, key: int) -> None:
        assert key not in self.wanted, "the scheduler was asked twice"
        assert key not in self.forgotten
        self.wanted.add(key)

    def do_unwant(self, key: int) -> None:
        self.wanted.discard(key)

    def do_host(self, key: int, worker: int) -> None:
        assert self.workers.get(worker) == key, "hosted by a worker that is dead or another's"
        assert self.table.actors[key].state in (PENDING, RESTARTING)
        self.under_construction.add(key)

    def do_hold(self, worker: int, resources: dict[str, int]) -> None:
        assert worker in self.workers
        assert resources == self.table.actors[self.workers[worker]].running_resources

    def do_notify(self, key: int) -> None:
        assert key in self.table.actors

    def do_kill(self, worker: int) -> None:
        assert worker in self.workers, "a dead worker is to be killed"
        self.sentenced.add(worker)

    def do_end(self, worker: int) -> None:
        assert worker in self.workers, "a dead worker is to end"
        self.sentenced.add(worker)

    def do_forget(self, key: int) -> None:
        assert key not in self.forgotten, "forgotten twice"
        self.forgotten.add(key)

    def _pick(self, keys: Any, which: int) -> int:
        ordered = sorted(keys)
        chosen: int = ordered[which % len(ordered)]
        return chosen

    # -- what happens --------------------------------------------------------------------------------------

    @rule(
        creator=st.integers(1, 3),
        name=st.sampled_from(["", "", "a", "b"]),
        detached=st.booleans(),
        max_restarts=st.sampled_from([0, 1, 2, -1]),
    )
    def create(self, creator: int, name: str, detached: bool, max_restarts: int) -> None:
        key, self.next_key = self.next_key, self.next_key + 1
        taken = [k for k, a in self.model.items() if name and a.name == name and a.state != DEAD]
        actor = _actor(key, creator, name, detached, max_restarts)
        assert self.table.create(actor) == (taken[0] if taken else None)
        if not taken:
            self.model[key] = actor
            self.deaths[key] = 0
            self.unstarted.add(key)
        self.carry_out()
        assert key not in self.wanted, "placed before its arguments were there"

    @precondition(lambda self: self.unstarted)
    @rule(which=_ANY)
    def arguments_arrive(self, which: int) -> None:
        key = self._pick(self.unstarted, which)
        self.unstarted.discard(key)
        self.table.start(key)
        self.carry_out()
        assert (key in self.wanted) == (self.model[key].state != DEAD)

    @precondition(lambda self: self.wanted)
    @rule(which=_ANY)
    def place(self, which: int) -> None:
        key = self._pick(self.wanted, which)
        self.wanted.discard(key)
        worker, self.next_worker = self.next_worker, self.next_worker + 1
        self.workers[worker] = key
        self.table.placed(key, worker)
        self.carry_out()

    @precondition(lambda self: self.under_construction)
    @rule(which=_ANY, fails=st.booleans())
    def construct(self, which: int, fails: bool) -> None:
        key = self._pick(self.under_construction, which)
        self.under_construction.discard(key)
        was_dead = self.table.actors[key].state == DEAD
        self.table.constructed(key, b"error" if fails else None)
        self.carry_out()
        if not was_dead:
            assert self.table.actors[key].state == (DEAD if fails else ALIVE)

    @precondition(lambda self: self.workers)
    @rule(which=_ANY)
    def worker_dies(self, which: int) -> None:
        worker = self._pick(self.workers, which)
        key = self.workers.pop(worker)
        self.under_construction.discard(key)
        actor = self.table.actors[key]
        before, restarts, released = actor.state, actor.restarts, actor.released
        self.table.worker_died(worker, "it crashed")
        self.carry_out()
        if before == DEAD:
            assert actor.state == DEAD
        elif released or (actor.max_restarts >= 0 and restarts >= actor.max_restarts):
            assert actor.state == DEAD and actor.cause == "it crashed"
        else:
            self.deaths[key] += 1
            assert actor.state == RESTARTING and key in self.wanted

    @precondition(lambda self: self.model)
    @rule(which=_ANY, no_restart=st.booleans())
    def kill(self, which: int, no_restart: bool) -> None:
        key = self._pick(self.model, which)
        actor = self.table.actors[key]
        hosted = actor.worker
        was_dead = actor.state == DEAD
        self.table.kill(key, no_restart)
        self.carry_out()
        if not was_dead:
            assert (actor.state == DEAD) == no_restart
            assert hosted is None or hosted in self.sentenced

    @precondition(lambda self: self.model)
    @rule(which=_ANY)
    def last_handle_goes(self, which: int) -> None:
        key = self._pick(self.model, which)
        self.table.release(key)
        self.carry_out()
        actor = self.table.actors[key]
        if not actor.detached and actor.state == ALIVE:
            assert actor.worker in self.sentenced

    @precondition(lambda self: self.model)
    @rule(which=_ANY)
    def exits_by_itself(self, which: int) -> None:
        key = self._pick(self.model, which)
        if self.table.actors[key].state != ALIVE:
            return
        self.table.exiting(key, "it wanted to")
        self.carry_out()
        assert self.table.actors[key].state == DEAD

    @precondition(lambda self: self.wanted)
    @rule(which=_ANY)
    def no_place(self, which: int) -> None:
        key = self._pick(self.wanted, which)
        self.table.unplaceable(key, "no such environment")
        self.carry_out()
        assert self.table.actors[key].state == DEAD

    @rule(client=st.integers(1, 3))
    def client_leaves(self, client: int) -> None:
        mine = {
            k for k, a in self.model.items() if a.creator == client and not a.detached and a.state != DEAD
        }
        assert set(self.table.client_left(client)) == mine
        for key in mine:
            self.table.owner_died(key)
        self.carry_out()
        for key in mine:
            assert self.table.actors[key].state == DEAD
        assert all(client not in actor.watchers for actor in self.table.actors.values())

    # -- what always holds ---------------------------------------------------------------------------------

    @invariant()
    def names_are_those_of_the_living(self) -> None:
        if hasattr(self, "table"):
            named = {(a.namespace, a.name): k for k, a in self.model.items() if a.name and a.state != DEAD}
            assert self.table.names == named
            assert self.table.named() == sorted(named)

    @invariant()
    def restarts_are_counted(self) -> None:
        for key, actor in getattr(self, "model", {}).items():
            assert actor.restarts == self.deaths[key]
            assert actor.max_restarts < 0 or actor.restarts <= actor.max_restarts

    @invariant()
    def the_dead_hold_nothing(self) -> None:
        for key, actor in getattr(self, "model", {}).items():
            assert (actor.state == DEAD) == (key in self.forgotten)
            if actor.state == DEAD:
                assert actor.description is None and key not in self.wanted

    @invariant()
    def the_living_have_or_want_a_process(self) -> None:
        for key, actor in getattr(self, "model", {}).items():
            if actor.state != DEAD:
                assert (actor.worker is None) == (key in self.wanted or key in self.unstarted)
            if actor.state == ALIVE:
                assert actor.worker in self.workers


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_only_so_many_of_the_dead_are_remembered() -> None:
    table = ActorTable(kept=2)
    for key in range(1, 6):
        table.create(_actor(key))
        table.kill(key, no_restart=True)
        table.out.clear()
    table.create(_actor(6))
    assert list(table.actors) == [4, 5, 6]
    table.placed(1, 100)
    assert table.out == [("kill", 100)], "one that is not remembered is dead"
    table.worker_died(100, "killed")


def test_the_dead_are_remembered_until_all_is_done_about_them() -> None:
    table = ActorTable(kept=0)
    table.create(_actor(1))
    table.kill(1, no_restart=True)
    table.create(_actor(2))
    assert set(table.actors) == {1, 2}
