"""The session's machines: this one, and those that are simulated on it, each with resources, labels and workers of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.engine.local import protocol
from skate.engine.placement.machines import Machine
from skate.engine.placement.resources import unscale

if TYPE_CHECKING:
    from skate.engine.local.node.process import Process
    from skate.engine.local.node.server import Server


class Clusters:
    """Adds machines, removes them, and tells of them."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._variables: dict[str, dict[str, str]] = {server.config["machine_id"]: server.config["variables"]}
        """Environment variables of each machine's workers."""

    def facts(self, id: str) -> dict[str, Any]:
        """What a process on that machine is told about it."""
        machine = self.server.scheduler.machines.by_id[id]
        total = unscale(machine.resources.total)
        return {
            "machine_id": id,
            "labels": dict(machine.labels),
            "resources": total,
            "variables": self._variables[id],
        }

    def death(self, id: str) -> str:
        """Why a machine is gone."""
        return self.server.scheduler.machines.by_id[id].death

    def amounts(self, free: bool) -> dict[str, float]:
        """All there is, or all that is free, on all machines, with what placement groups have reserved."""
        found: dict[str, int] = {}
        scheduler = self.server.scheduler
        for machine in scheduler.machines:
            own = machine.resources.free if free else machine.resources.total
            for name, amount in own.items():
                if amount > 0:
                    found[name] = found.get(name, 0) + amount
        return {**unscale(found), **scheduler.groups.amounts(free)}

    def table(self) -> list[tuple[str, bool, str, dict[str, float], dict[str, str]]]:
        """(id, alive, why it is gone, resources, labels) of every machine that ever was."""
        return [
            (m.id, m.alive, m.death, unscale(m.resources.total) if m.alive else {}, dict(m.labels))
            for m in self.server.scheduler.machines.by_id.values()
        ]

    def add(
        self,
        process: Process,
        request: int,
        id: str,
        resources: dict[str, float],
        labels: dict[str, str],
        variables: dict[str, str],
    ) -> None:
        """A machine joins."""
        scheduler = self.server.scheduler
        self._variables[id] = variables
        scheduler.machine_joined(Machine(len(scheduler.machines.by_id), id, resources, labels))
        self.server.connections.send(process.number, (protocol.REPLY, request, None))

    def remove(self, process: Process, request: int, id: str) -> None:
        """A machine dies, with its workers and what lay on it alone. The answer is whether there was one of that id."""
        server = self.server
        known = server.scheduler.machines.get(id) is not None
        lost = server.scheduler.machine_left(id, "it was removed")
        server.carry_out()
        for number in lost:
            worker = server.processes.get(number)
            if worker is not None:
                server.connections.hear_out(worker)
                server.workers.bury(worker)  # its callers hear of its end before they hear what is lost
        server.directory.machine_left(id)
        server.carry_out()
        server.connections.send(process.number, (protocol.REPLY, request, known))
