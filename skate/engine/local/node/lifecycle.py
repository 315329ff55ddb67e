"""Actors' lives: pending, alive, restarting, dead; their names; who watches them. Pure.

Events are method calls; instructions are appended to `out`:

    ("want", actor)                   ask the scheduler for a process
    ("unwant", actor)                 it is not needed any more
    ("host", actor, worker)           send the description to that worker
    ("hold", worker, resources)       constructed: it holds only its running resources
    ("notify", actor)                 the state changed: tell the watchers
    ("kill", worker) / ("end", worker)  at once / after the calls it has
    ("forget", actor)                 dead for good: what its description holds can go
"""

from __future__ import annotations

from collections import deque
from typing import Any

PENDING = "PENDING_CREATION"
ALIVE = "ALIVE"
RESTARTING = "RESTARTING"
DEAD = "DEAD"

KEPT = 10_000
"""Dead actors that are remembered."""


class Actor:
    """One actor."""

    __slots__ = (
        "cause",
        "creator",
        "description",
        "detached",
        "error",
        "home",
        "job",
        "key",
        "max_restarts",
        "name",
        "namespace",
        "pid",
        "released",
        "resources",
        "restarts",
        "running_resources",
        "shown",
        "startable",
        "state",
        "watchers",
        "worker",
    )

    def __init__(
        self,
        key: int,
        creator: int,
        description: Any,
        name: str,
        namespace: str,
        detached: bool,
        max_restarts: int,
        resources: dict[str, int],
        running_resources: dict[str, int],
        home: str = "",
        job: int = 0,
    ) -> None:
        self.key = key
        self.home = home
        """The machine of the process that created it."""
        self.job = job
        """The number of the driver that it works for."""
        self.creator = creator
        self.description = description
        self.name = name
        self.namespace = namespace
        self.detached = detached
        self.max_restarts = max_restarts
        self.resources = resources
        self.running_resources = running_resources
        self.state = PENDING
        self.worker: int | None = None
        self.shown = ""
        """How its instance shows itself; empty if as its class."""
        self.pid = 0
        """That of its process, or of the last it had."""
        self.restarts = 0
        self.cause = ""
        self.error: Any = None
        self.watchers: set[int] = {creator}
        self.released = False
        self.startable = False


class ActorTable:
    """All actors of a node.

    Args:
        kept: Dead actors that are remembered; beyond that, those that died first are forgotten.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self.actors: dict[int, Actor] = {}
        self._dead: deque[int] = deque()
        self._kept = kept
        self.names: dict[tuple[str, str], int] = {}
        self.by_worker: dict[int, int] = {}
        self.out: list[tuple[Any, ...]] = []

    def create(self, actor: Actor) -> int | None:
        """Register an actor. Returns the key of the live actor that has the name already, and then registers nothing."""
        while len(self._dead) > self._kept and not self.out:
            # Not before what is to be done about their deaths has been done.
            del self.actors[self._dead.popleft()]
        if actor.name:
            holder = self.names.get((actor.namespace, actor.name))
            if holder is not None:
                return holder
            self.names[(actor.namespace, actor.name)] = actor.key
        self.actors[actor.key] = actor
        return None

    def start(self, key: int) -> None:
        """The constructor's arguments are there."""
        actor = self.actors.get(key)
        if actor is not None and actor.state != DEAD:
            actor.startable = True
            self.out.append(("want", key))

    def placed(self, key: int, worker: int) -> None:
        """The scheduler has found a process."""
        actor = self.actors.get(key)
        if actor is None or actor.state == DEAD:
            self.out.append(("kill", worker))
            return
        actor.worker = worker
        self.by_worker[worker] = key
        self.out.append(("host", key, worker))

    def constructed(self, key: int, error: bytes | tuple[bytes, ...] | None) -> None:
        """The constructor has returned, or raised `error` (a pickle): then the actor is dead, without a restart."""
        actor = self.actors.get(key)
        if actor is None or actor.worker is None or actor.state == DEAD:
            return
        if error is not None:
            actor.error = error
            self._die(actor, "the constructor raised an exception.")
            self.out.append(("kill", actor.worker))
            return
        actor.state = ALIVE
        self.out.append(("hold", actor.worker, actor.running_resources))
        self.out.append(("notify", key))
        if actor.released:
            self.out.append(("end", actor.worker))

    def worker_died(self, worker: int, cause: str, error: bytes | None = None) -> None:
        """A process is gone: its actor, if it hosted one, restarts while it may; else `error` is what its calls end with, if given."""
        key = self.by_worker.pop(worker, None)
        if key is None:
            return
        actor = self.actors.get(key)
        if actor is None:
            return
        actor.worker = None
        if actor.state == DEAD:
            return
        if actor.released or (0 <= actor.max_restarts <= actor.restarts):
            actor.error = error
            self._die(actor, cause)
            return
        actor.restarts += 1
        actor.cause = cause
        actor.state = RESTARTING
        self.out.append(("notify", key))
        self.out.append(("want", key))

    def exiting(self, key: int, cause: str) -> None:
        """The actor ends by its own will: it does not restart."""
        actor = self.actors.get(key)
        if actor is not None and actor.state != DEAD:
            self._die(actor, cause)

    def kill(self, key: int, no_restart: bool) -> None:
        """`skate.kill`: end the process now."""
        actor = self.actors.get(key)
        if actor is None or actor.state == DEAD:
            return
        worker = actor.worker
        if no_restart:
            self._die(actor, "it was killed by `ray.kill`.")
        if worker is not None:
            self.out.append(("kill", worker))

    def release(self, key: int) -> None:
        """No handle is left: the actor ends once it has done what it was asked."""
        actor = self.actors.get(key)
        if actor is None or actor.state == DEAD or actor.detached or actor.released:
            return
        actor.released = True
        if actor.state == ALIVE and actor.worker is not None:
            self.out.append(("end", actor.worker))
        elif actor.worker is None:
            self._die(actor, "all its handles were gone before it was placed.")

    def unplaceable(self, key: int, cause: str, error: Any = None) -> None:
        """No process can be had for the actor."""
        actor = self.actors.get(key)
        if actor is not None and actor.state != DEAD:
            actor.error = error
            self._die(actor, cause)

    def client_left(self, client: int) -> list[int]:
        """A client is gone. Returns the actors it created that are not detached."""
        mine = []
        for actor in self.actors.values():
            actor.watchers.discard(client)
            if actor.creator == client and not actor.detached and actor.state != DEAD:
                mine.append(actor.key)
        return mine

    def owner_died(self, key: int) -> None:
        """The process that created the actor is gone: so is the actor."""
        actor = self.actors[key]
        worker = actor.worker
        self._die(actor, "the process that created it has ended, and the actor is not detached.")
        if worker is not None:
            self.out.append(("kill", worker))

    def find(self, name: str, namespace: str) -> Actor | None:
        """The live actor of that name."""
        key = self.names.get((namespace, name))
        return None if key is None else self.actors[key]

    def named(self) -> list[tuple[str, str]]:
        """(namespace, name) of all live named actors."""
        return sorted(self.names)

    def _die(self, actor: Actor, cause: str) -> None:
        was_waiting = actor.startable and actor.worker is None and actor.state in (PENDING, RESTARTING)
        actor.state = DEAD
        actor.cause = cause
        if actor.name and self.names.get((actor.namespace, actor.name)) == actor.key:
            del self.names[(actor.namespace, actor.name)]
        if was_waiting:
            self.out.append(("unwant", actor.key))
        self.out.append(("notify", actor.key))
        self.out.append(("forget", actor.key))
        actor.description = None
        self._dead.append(actor.key)
