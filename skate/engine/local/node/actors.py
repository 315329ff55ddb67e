"""Actors at the node: registering them, giving them their processes, telling those who call them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.engine.local import protocol
from skate.engine.local.node import directory as objects
from skate.engine.local.node import lifecycle
from skate.engine.local.node.lifecycle import Actor
from skate.engine.placement.resources import scale, unscale

if TYPE_CHECKING:
    from skate.engine.local.node.process import Process
    from skate.engine.local.node.server import Server


class Actors:
    """Carries out what the actor table decides."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.early_watches: dict[int, set[int]] = {}
        """By actor that nobody has registered yet: who wants to know about it."""
        self._held: dict[int, tuple[int, ...]] = {}

    # -- messages ----------------------------------------

    def create(self, process: Process, request: int, key: int, about: dict[str, Any]) -> None:
        """Register an actor; if its name is taken, answer who has it."""
        table = self.server.table
        self.server.environments.know(about["env"])
        actor = Actor(
            key,
            process.number,
            about,
            about["name"],
            about["namespace"],
            about["detached"],
            about["max_restarts"],
            scale(about["creation_demand"]),
            scale(about["running_demand"]),
            home=process.machine,
            job=process.job,
        )
        holder = table.create(actor)
        if holder is not None:
            answer = (holder, table.actors[holder].description["meta"])
            self.server.connections.send(process.number, (protocol.REPLY, request, answer))
            return
        self.server.inquiry.actor_changed(actor)
        self.server.directory.hold(about["nested"])
        self._held[key] = about["nested"]
        actor.watchers |= self.early_watches.pop(key, set())
        if about["name"]:
            self.server.connections.send(process.number, (protocol.REPLY, request, None))

    def start(self, _process: Process, key: int, slots: Any, held: tuple[int, ...]) -> None:
        """The constructor's arguments are there."""
        actor = self.server.table.actors.get(key)
        if actor is None or actor.description is None:
            return
        self.server.directory.hold(held)
        self._held[key] += held
        actor.description["slots"] = slots
        self.server.table.start(key)

    def watch(self, process: Process, key: int) -> None:
        """A process wants to know about an actor."""
        actor = self.server.table.actors.get(key)
        if actor is not None:
            actor.watchers.add(process.number)
            self._tell(process.number, actor)
            return
        self.early_watches.setdefault(key, set()).add(process.number)
        owner = key >> objects.OWNER_SHIFT
        if owner in self.server.processes and self.server.processes[owner].conn is not None:
            self.server.connections.send(owner, (protocol.PROBE, key))
        else:
            self.unknown(key)

    def unknown(self, key: int) -> None:
        """There is no such actor, and nobody will register it any more."""
        for client in self.early_watches.pop(key, ()):
            cause = "the process that created it has ended, or it died long ago."
            message = (protocol.ACTOR, key, lifecycle.DEAD, "", 0, cause, None, 0, (0, "", "", False))
            self.server.connections.send(client, message)

    def ready(self, process: Process, key: int, error: Any, shown: str) -> None:
        """A constructor has ended; `shown` is how the instance shows itself."""
        process.label = shown or process.label
        actor = self.server.table.actors.get(key)
        if actor is not None:
            actor.shown = shown
        self.server.table.constructed(key, error)

    def exits(self, process: Process, key: int, cause: str) -> None:
        """An actor ends by its own will."""
        process.ended = cause
        self.server.table.exiting(key, cause)

    def find(self, process: Process, request: int, name: str, namespace: str) -> None:
        """Answer who has a name."""
        actor = self.server.table.find(name, namespace)
        answer = None
        if actor is not None:
            answer = (actor.key, actor.description["meta"])
        self.server.connections.send(process.number, (protocol.REPLY, request, answer))

    # -- the table's instructions ----------------------------------------

    def carry_out(self, what: str, *rest: Any) -> None:
        """Do what the actor table has decided."""
        server = self.server
        if what == "want":
            actor = server.table.actors[rest[0]]
            env = actor.description["env"]
            where = actor.description["where"]
            again = actor.max_restarts != 0
            if not server.scheduler.want_actor(actor.key, actor.resources, env, where, actor.home, again):
                who = f"actor {actor.description['class_name']}"
                server.leases.warn_infeasible(who, actor.resources, where)
        elif what == "unwant":
            server.scheduler.drop_actor(rest[0])
        elif what == "host":
            self._host(rest[0], rest[1])
        elif what == "hold":
            server.scheduler.hold_only(rest[0], rest[1])
        elif what == "notify":
            actor = server.table.actors[rest[0]]
            server.inquiry.actor_changed(actor)
            for client in actor.watchers:
                self._tell(client, actor)
        elif what == "kill":
            doomed = server.processes.get(rest[0])
            if doomed is not None:
                server.workers.kill(doomed)
        elif what == "end":
            server.connections.send(rest[0], (protocol.EXIT,))
        elif what == "forget":
            server.directory.let_go(self._held.pop(rest[0], ()))

    def _host(self, key: int, number: int) -> None:
        actor = self.server.table.actors[key]
        worker = self.server.scheduler.workers.get(number)
        process = self.server.processes[number]
        if actor.state == lifecycle.DEAD or worker is None:
            return  # one of the two has ended since; the other is told of it
        process.label = actor.description["class_name"]
        process.job = actor.job
        actor.pid = process.pid
        gpus = sorted(worker.holding.gpus) if worker.holding else []
        where = actor.description["where"]
        facts = (unscale(actor.running_resources), gpus, actor.restarts, actor.name, actor.namespace, where)
        message = (protocol.HOST, key, actor.description["host"], actor.description["slots"], facts)
        self.server.connections.send(number, message)

    def _tell(self, client: int, actor: Actor) -> None:
        path = ""
        if actor.state == lifecycle.ALIVE and actor.worker is not None:
            path = self.server.processes[actor.worker].path
        news = (
            protocol.ACTOR,
            actor.key,
            actor.state,
            path,
            actor.worker or 0,
            actor.cause,
            actor.error,
            actor.restarts,
            (actor.pid, actor.name, actor.namespace, not self.server.scheduler.machines.single),
        )
        self.server.connections.send(client, news)
