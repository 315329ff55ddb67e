"""The waits that last, as the node hears of them: it gathers what they wait for, and ends one of each ring."""

from __future__ import annotations

import marshal
import time
from typing import TYPE_CHECKING, Any

from skate.engine.local import protocol
from skate.engine.local.node import directory as objects
from skate.engine.local.node.deadlock import Host, Wait, WaitGraph, explain
from skate.engine.placement.where import GROUP

if TYPE_CHECKING:
    from skate.engine.local.node.process import Process
    from skate.engine.local.node.server import Server

_PATIENCE = 2.0
_AGAIN = 5.0
"""Seconds between looks while waits last: what has been placed or lost since may have closed a ring."""
TOKEN = "waits"


class Waiting:
    """Looks for deadlocks among the waits that have lasted."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.waits: dict[tuple[int, int], Wait] = {}
        self._order = 0
        self._looking = False
        self._dirty = False
        self._next_look = 0.0
        self._suspects: set[tuple[int, int]] = set()

    # -- messages ----------------------------------------

    def begun(self, process: Process, serial: int, keys: tuple[int, ...], needed: int, about: Any) -> None:
        """A wait has lasted for a second."""
        task, actor, name, pid, line = about
        self._order += 1
        wait = Wait(process.number, serial, self._order, keys, needed, task, actor, name, pid, line)
        self.waits[process.number, serial] = wait
        self._look()

    def over(self, process: Process, serial: int) -> None:
        """A wait has ended."""
        self.waits.pop((process.number, serial), None)

    def client_left(self, client: int) -> None:
        """A process is gone, and its waits with it."""
        for which in [which for which in self.waits if which[0] == client]:
            del self.waits[which]

    def tick(self, now: float) -> None:
        """Look again now and then."""
        if self.waits and now >= self._next_look:
            self._look()

    # -- looking ----------------------------------------

    def _look(self) -> None:
        if self._looking:
            self._dirty = True
            return
        self._looking = True
        self._dirty = False
        self._ask({key for wait in self.waits.values() for key in wait.keys}, {})

    def _ask(self, keys: set[int], facts: dict[int, tuple[Any, ...]]) -> None:
        """Ask those who made these calls what they wait for."""
        owners = {key >> objects.OWNER_SHIFT for key in keys}
        processes = self.server.processes
        clients = [number for number in owners if number in processes and processes[number].conn is not None]
        deadline = time.monotonic() + _PATIENCE
        self.server.inquiry.reports.ask((TOKEN, facts, keys), "calls", list(keys), clients, deadline)

    def answered(self, token: tuple[Any, ...], answers: dict[int, bytes]) -> None:
        """The answers are there; they may name calls of others."""
        _name, facts, asked = token
        new: dict[int, tuple[Any, ...]] = {}
        for payload in answers.values():
            new.update(marshal.loads(payload))
        facts.update(new)
        further = {key for fact in new.values() if fact[0] == "args" for key in fact[2]} - asked
        further = {key for key in further if key >> 24 << 24 not in facts}
        if further:
            self._ask(further | asked, facts)
            return
        self._judge(facts)

    def _judge(self, facts: dict[int, tuple[Any, ...]]) -> None:
        self._looking = False
        self._next_look = time.monotonic() + _AGAIN
        graph = WaitGraph(list(self.waits.values()), facts, self._hosts(), self._holders)
        stuck = {(wait.client, wait.serial) for wait in graph.stuck()}
        if not stuck:
            self._suspects = set()
        elif stuck <= self._suspects:
            # The same waits have been stuck through two looks, one after the other: no answer was out of date.
            circle = graph.circle()
            youngest = max(circle, key=lambda wait: wait.order)
            self.over_by_verdict(youngest, explain(circle, facts))
        else:
            self._suspects = stuck
            self._dirty = True
        if self._dirty:
            self._look()

    def over_by_verdict(self, wait: Wait, text: str) -> None:
        """End a wait with an error."""
        self._suspects = set()
        self.waits.pop((wait.client, wait.serial), None)
        self.server.connections.send(wait.client, (protocol.DEADLOCK, wait.serial, text))

    def _hosts(self) -> dict[int, Host]:
        hosts = {}
        for key, actor in self.server.table.actors.items():
            about = actor.description
            if about is None or not about["host"]:
                continue
            concurrency, groups, is_asyncio = about["host"][5:8]
            # A method of an asyncio actor that blocks its thread keeps all others from running.
            capacity = 1 if is_asyncio else 0 if groups else concurrency
            hosts[key] = Host(actor.worker is not None, capacity, about["class_name"])
        return hosts

    def _holders(self, client: int, number: int, stuck: set[int]) -> set[int]:
        """Which of these workers hold what a lane needs, if it could not be placed although nobody else held anything."""
        scheduler = self.server.scheduler
        lane = scheduler.lanes.get((client, number))
        if lane is None or lane.where[0] == GROUP:
            return set()
        found: set[int] = set()
        for machine in scheduler.machines:
            free = dict(machine.resources.total)
            if any(free.get(name, 0) < amount for name, amount in lane.resources.items()):
                continue  # demands beyond all there is are another matter, of which the user is told at once
            holders = set()
            for each in stuck:
                worker = scheduler.workers.get(each)
                if worker is None or worker.holding is None or worker.resources is not machine.resources:
                    continue
                for name, amount in worker.holding.amounts.items():
                    if name != "CPU":  # a worker that waits has lent its CPU
                        free[name] = free.get(name, 0) - amount
                        if amount and name in lane.resources:
                            holders.add(each)
            if all(free.get(name, 0) >= amount for name, amount in lane.resources.items()):
                return set()
            found |= holders
        return found


__all__ = ["TOKEN", "Waiting"]
