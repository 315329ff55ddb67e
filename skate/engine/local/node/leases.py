"""Leases at the node: what clients could use, and what the scheduler has decided."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from skate.engine.local import protocol
from skate.engine.local.node.pool import MACHINE_LEFT
from skate.engine.local.node.scheduler import GROUP_REMOVED
from skate.engine.local.refusals import refusal
from skate.engine.placement.resources import scale, unscale
from skate.engine.placement.where import NODE

if TYPE_CHECKING:
    from skate.engine.local.node.process import Process
    from skate.engine.local.node.server import Server
    from skate.engine.placement.where import Where


class Leases:
    """Carries out what the scheduler decides."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._next_lease = 1
        self._warned: set[str] = set()

    # -- messages ----------------------------------------

    def worker_ready(self, process: Process, path: str, pid: int) -> None:
        """A worker listens."""
        process.path = path
        process.pid = pid
        if process.doomed:
            self.server.workers.kill(process)
            return
        self.server.scheduler.worker_ready(process.number, time.monotonic())

    def demand(self, process: Process, lane: int, count: int, shape: tuple[Any, ...] | None) -> None:
        """A client could use that many workers of a shape."""
        scheduler = self.server.scheduler
        if shape is not None:
            name, demand, env, where, retriable = shape
            self.server.environments.know(env)
            scaled = scale(demand)
            home = process.machine
            possible = scheduler.open_lane(process.number, lane, scaled, env, where, home, retriable)
            if not possible:
                self.warn_infeasible(f"task {name}", scaled, where)
        scheduler.set_demand(process.number, lane, count)

    def release(self, process: Process, worker: int) -> None:
        """A client gives a lease back."""
        self.server.scheduler.release(process.number, worker, time.monotonic())

    def kill_worker(self, process: Process, number: int) -> None:
        """A client has a worker killed that it holds the lease of."""
        worker = self.server.scheduler.workers.get(number)
        if worker is not None and worker.lane is not None and worker.lane[0] == process.number:
            self.server.workers.kill(self.server.processes[number])

    # -- the scheduler's instructions ----------------------------------------

    def carry_out(self, what: str, *rest: Any) -> None:
        """Do what the scheduler has decided."""
        server = self.server
        if what == "start":
            server.environments.start_worker(rest[0], rest[1])
        elif what == "grant":
            self._grant(*rest)
        elif what == "place":
            server.table.placed(rest[0], rest[1])
        elif what == "reclaim":
            server.connections.send(rest[0], (protocol.RECLAIM, rest[1]))
        elif what == "kill":
            process = server.processes.get(rest[0])
            if process is not None:
                process.why = process.why or rest[1]
                process.ended = process.ended or self._why(process, rest[1])
                server.workers.kill(process)
        elif what == "refuse":
            self._refuse(*rest)
        else:
            server.groups.carry_out(what, *rest)

    def _why(self, process: Process, why: str) -> str:
        if why == GROUP_REMOVED:
            return "its placement group was removed"
        if why == MACHINE_LEFT:
            return f"its node {process.machine} has died: {self.server.clusters.death(process.machine)}"
        return "it was ended, as nothing needed it any more"

    def _refuse(self, client: int, lane: int, why: str, text: str) -> None:
        if client >= 0:
            self.server.connections.send(client, (protocol.REFUSED, lane, why, text))
            return
        actor = self.server.table.actors[lane]
        name = actor.description["class_name"] if actor.description is not None else ""
        self.server.table.unplaceable(lane, text, refusal(why, f"actor {name}: {text}", actor=True))

    def _grant(self, client: int, lane: int, number: int) -> None:
        leased = self.server.scheduler.workers.get(number)
        if leased is None:
            return  # it has died since, which its lane is told
        gpus = sorted(leased.holding.gpus) if leased.holding else []
        lease, self._next_lease = self._next_lease, self._next_lease + 1
        if client not in self.server.processes or self.server.processes[client].conn is None:
            return
        leased_process = self.server.processes[number]
        leased_process.job = self.server.processes[client].job
        path = leased_process.path
        mortal = not self.server.scheduler.machines.single
        self.server.connections.send(client, (protocol.GRANT, lane, number, path, gpus, lease, mortal))

    def warn_infeasible(self, who: str, demand: dict[str, int], where: Where) -> None:
        """Tell the drivers, once, of a demand that exceeds all there is. What asks for one node is refused instead."""
        if where[0] == NODE:
            return
        machines = list(self.server.scheduler.machines)
        totals = [unscale(machine.resources.total) for machine in machines]
        have = {name: max(total.get(name, 0) for total in totals) for name in demand}
        lacking = {n: have[n] for n, a in unscale(demand).items() if have[n] < a}
        text = f"{who} needs {_amounts(unscale(demand))}"
        if lacking:
            most = "this session has only" if len(machines) == 1 else "no node has more than"
            text += f", but {most} {_amounts(lacking)} in all"
        else:
            labels = [dict(machine.labels) for machine in machines]
            text += (
                f" on a node with labels {_labels(where)}, but those of the nodes that fit are among {labels}"
            )
        self.warn_once(f"{text}: it waits until that much is added. Ask for less, or give init() more.")

    def warn_once(self, text: str) -> None:
        """Have the drivers log a warning, if they have not logged it yet."""
        if text not in self._warned:
            self._warned.add(text)
            self.server.connections.warn_drivers(text)


def _labels(where: Where) -> str:
    parts = []
    for wanted in where[1]:
        each = [
            f"{label}{'' if positive else ' not'} {'any' if values is None else ' or '.join(values)}"
            for label, positive, values in wanted
        ]
        parts.append("{" + ", ".join(each) + "}")
    return " or ".join(parts)


def _amounts(amounts: dict[str, float]) -> str:
    return "{" + ", ".join(f"{n}: {a:g}" for n, a in sorted(amounts.items())) + "}"
