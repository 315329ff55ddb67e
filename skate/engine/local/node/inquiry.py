"""What the node tells about the session: its own facts, what it remembers, and what it asks of the other processes."""

from __future__ import annotations

import marshal
import os
import time
from typing import TYPE_CHECKING, Any

from skate.engine.local import protocol
from skate.engine.local.node import directory as objects
from skate.engine.local.node.history import CALLS, NodeHistory
from skate.engine.local.node.process import describe_end
from skate.engine.local.node.reports import Reports
from skate.engine.local.node.waiting import TOKEN
from skate.engine.placement.resources import unscale
from skate.engine.placement.where import GROUP

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.engine.local.node.lifecycle import Actor
    from skate.engine.local.node.process import Process
    from skate.engine.local.node.server import Server

_BROADCAST = frozenset({"tasks", "objects", "stacks"})
"""Questions that every process is asked; the others the node answers alone."""


class Inquiry:
    """Answers about the session."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.reports = Reports()
        self.history = NodeHistory(int(server.config["system"].get("task_history", CALLS)))
        self.started = time.time()

    # -- messages ----------------------------------------

    def ask_all(self, process: Process, request: int, what: str, asked: Any, seconds: float) -> None:
        """A user asks about the session."""
        if what not in _FACTS:
            raise ValueError(f"unknown question {what!r}")
        clients = []
        if what in _BROADCAST:
            # Whoever asks knows what it has to say itself.
            clients = [n for n, p in self.server.processes.items() if p.conn is not None and p.reports]
            clients = [number for number in clients if number != process.number]
        deadline = time.monotonic() + seconds
        self.reports.ask((process.number, request), what, asked, clients, deadline)

    def told(self, process: Process, number: int, payload: bytes) -> None:
        """A process answers."""
        self.reports.told(process.number, number, payload)

    def keep(self, _process: Process, count: int, payload: bytes) -> None:
        """A process hands over what has become of its calls."""
        self.history.keep(count, payload)

    # -- instructions ----------------------------------------

    def carry_out(self, what: str, *rest: Any) -> None:
        """Do what the questions under way need."""
        if what == "tell":
            self.server.connections.send(rest[0], (protocol.TELL, *rest[1:]))
            return
        token, question, _asked, answers, missing = rest
        if token[0] == TOKEN:
            self.server.waiting.answered(token, answers)
            return
        client, request = token
        kept = [payload for _count, payload in self.history.reports] if question == "tasks" else []
        pids = {number: process.pid for number, process in self.server.processes.items()}
        silent = [(number, pids.get(number, 0)) for number in missing]
        facts = marshal.dumps(_FACTS[question](self), 2)
        answer = (facts, [*kept, *answers.values()], silent)
        self.server.connections.send(client, (protocol.REPLY, request, answer))

    # -- facts ----------------------------------------

    def worker_ended(self, process: Process) -> None:
        """A worker's process is gone."""
        facts = _describe_process(process)
        facts["cause"] = process.ended or describe_end(process.status)
        facts["status"] = process.status
        self.history.worker_ended(facts, time.time())

    def actor_changed(self, actor: Actor) -> None:
        """An actor has been created, or its state is another."""
        about = actor.description
        process = self.server.processes.get(actor.worker or 0)
        facts: dict[str, Any] = {
            "key": actor.key,
            "state": actor.state,
            "name": actor.name,
            "namespace": actor.namespace,
            "detached": actor.detached,
            "worker": actor.worker or 0,
            "pid": process.pid if process is not None else 0,
            "restarts": actor.restarts,
            "cause": actor.cause,
            "resources": unscale(actor.running_resources),
            "creator": actor.creator,
            "shown": actor.shown,
        }
        if about is not None:
            facts["class_name"] = about["class_name"]
            facts["env"] = about["env"]
            where = about["where"]
            facts["group"] = where[2] if where[0] == GROUP else None
        self.history.actor_changed(actor.key, facts, time.time())

    def _common(self) -> dict[str, Any]:
        return {
            "actors": list(self.history.actors.values()),
            "processes": {
                facts["number"]: (facts["pid"], facts["machine"])
                for facts in (*self.history.workers, *map(_describe_process, self.server.processes.values()))
            },
        }

    def _objects(self) -> dict[str, Any]:
        found = []
        for key, entry in self.server.directory.entries.items():
            if key not in self.server.table.actors:
                size = entry.size if entry.kind == objects.STORED else len(entry.payload or b"")
                spilled = bool(entry.path)
                found.append(
                    (
                        key,
                        size,
                        entry.kind,
                        len(entry.pins),
                        entry.containers,
                        spilled,
                        sorted(entry.machines),
                    )
                )
        return {**self._common(), **self._store(), "objects": found}

    def _store(self) -> dict[str, Any]:
        allocator = self.server.store.allocator
        spilled = sum(entry.size for entry in self.server.directory.entries.values() if entry.path)
        return {"used": allocator.used, "capacity": allocator.capacity, "spilled": spilled}

    def _workers(self) -> dict[str, Any]:
        scheduler = self.server.scheduler
        alive = []
        for process in self.server.processes.values():
            facts = _describe_process(process)
            facts["start"] = self.history.started.get(process.number, self.started)
            worker = scheduler.workers.get(process.number)
            facts["state"] = "driver" if process.is_driver else "starting" if worker is None else worker.state
            facts["blocked"] = worker is not None and worker.blocked
            if process.reports:
                alive.append(facts)
        return {"alive": alive, "ended": list(self.history.workers)}

    def _nodes(self) -> dict[str, Any]:
        free = {
            machine.id: unscale({name: max(0, amount) for name, amount in machine.resources.free.items()})
            for machine in self.server.scheduler.machines
        }
        return {
            "start": self.started,
            "machines": self.server.clusters.table(),
            "available": free,
            "head": self.server.config["machine_id"],
            **self._store(),
        }

    def _jobs(self) -> dict[str, Any]:
        config = self.server.config
        return {
            "drivers": [_describe_process(process) for process in self.server.drivers()],
            "start": self.started,
            "machine": config["machine_id"],
            "env": config.get("job_env", {}),
        }

    def _placement_groups(self) -> dict[str, Any]:
        return {"groups": self.server.scheduler.groups.table()}

    def _runtime_envs(self) -> dict[str, Any]:
        environments = self.server.environments
        users: dict[str, int] = {}
        for worker in self.server.scheduler.workers.values():
            users[worker.env] = users.get(worker.env, 0) + 1
        return {
            "machine": self.server.config["machine_id"],
            "envs": [
                (env, users.get(env, 0), environments.failures.get(env))
                for env in environments.settled
                if env
            ],
        }

    def _logs(self) -> dict[str, Any]:
        folder = os.path.join(self.server.config["session_dir"], "logs")
        return {"folder": folder, **self._workers(), **self._common()}


def _describe_process(process: Process) -> dict[str, Any]:
    return {
        "number": process.number,
        "pid": process.pid,
        "driver": process.is_driver,
        "command": process.command,
        "label": process.label,
        "machine": process.machine,
        "namespace": process.namespace,
    }


_FACTS: dict[str, Callable[[Inquiry], dict[str, Any]]] = {
    "tasks": Inquiry._common,
    "actors": Inquiry._common,
    "objects": Inquiry._objects,
    "workers": Inquiry._workers,
    "nodes": Inquiry._nodes,
    "jobs": Inquiry._jobs,
    "placement_groups": Inquiry._placement_groups,
    "runtime_envs": Inquiry._runtime_envs,
    "logs": Inquiry._logs,
    "stacks": Inquiry._workers,
}
