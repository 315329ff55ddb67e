"""What the scheduler's process knows about a session, and has the Dask workers tell, for whoever asks about its state."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from skate.engine.dask import remote
from skate.engine.dask.calls import ActorSpec, Call, node_id_of, outside, unscaled
from skate.engine.dask.history import facts_of

if TYPE_CHECKING:
    from skate.engine.dask.registry import Registry
    from skate.engine.dask.supervise import Actor

_LOST = 1000
"""Dask workers that are gone, and told of."""


class Facts:
    """Answers for `Engine.state`, as plain data. Each is a dictionary: "missing" has in words who gave no answer."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.began = time.time()
        self.drivers: dict[str, dict[str, Any]] = {}
        """By the Dask client's id: those that are there, and those that were."""
        self.lost: dict[str, dict[str, Any]] = {}
        """By address: the Dask workers that are gone."""
        self._there: dict[str, dict[str, Any]] = {}

    # -- events ----------------------------------------

    def driver(self, client: str, about: dict[str, Any]) -> None:
        """A driver has come."""
        self.drivers[client] = {**about, "start": time.time(), "end": 0.0}

    def client_left(self, client: str) -> None:
        """A client has gone."""
        if client in self.drivers:
            self.drivers[client]["end"] = time.time()

    def worker_came(self, address: str) -> None:
        """A Dask worker has come."""
        worker = self.registry.scheduler.workers.get(address)
        if worker is not None:
            self._there[address] = self.registry.node(worker)

    def worker_left(self, address: str) -> None:
        """A Dask worker has gone."""
        node = self._there.pop(address, None)
        if node is not None:
            self.lost[address] = {**node, "end": time.time()}
        while len(self.lost) > _LOST:
            del self.lost[next(iter(self.lost))]

    # -- questions ----------------------------------------

    async def on_facts(self, _client: str, what: str) -> dict[str, Any]:
        """What is known of `what`, one of those of `Engine.state`."""
        found: dict[str, Any] = await getattr(self, f"_{what}")()
        found.setdefault("missing", [])
        return found

    async def on_log(self, _client: str, node_id: str, name: str, start: int) -> tuple[bytes, int]:
        """What a file of "logs" holds from that byte on, and where the next reading begins."""
        for address in list(self.registry.labels):
            if node_id_of(address) == node_id:
                return await self.registry.tell(address, "log", name, start) or (b"", start)
        return b"", start

    async def _ask_all(
        self, what: str, addresses: list[str] | None = None
    ) -> tuple[list[dict[str, Any]], list[str]]:
        if addresses is None:
            addresses = list(self.registry.labels)
        answers = await asyncio.gather(*(self.registry.tell(address, "facts", what) for address in addresses))
        missing = [
            f"the Dask worker at {address} gave no answer"
            for address, answer in zip(addresses, answers, strict=True)
            if answer is None
        ]
        return [answer for answer in answers if answer is not None], missing

    async def _tasks(self) -> dict[str, Any]:
        told, missing = await self._ask_all("tasks")
        rows = [facts for answer in told for facts in answer["tasks"]]
        known = {(facts.key, facts.attempt) for facts in rows}
        for state in list(self.registry.scheduler.tasks.values()):
            call = _call_of(state)
            if call is not None and state.state in _UNDER_WAY and (call.key, call.attempt) not in known:
                if not any((call.key, later) in known for later in range(call.attempt, call.attempt + 3)):
                    rows.append(facts_of(call, _UNDER_WAY[state.state]))
        errors = {which: blob for answer in told for which, blob in answer["errors"].items()}
        spans = [span for answer in told for span in answer["spans"]]
        actors = await self._actors()
        return {"tasks": rows, "errors": errors, "spans": spans, "missing": missing, **actors}

    async def _actors(self) -> dict[str, Any]:
        told, missing = await self._ask_all("actors")
        places = {key: place for answer in told for key, place in answer["actors"].items()}
        actors = list(self.registry.actors.values())
        return {"actors": [_actor(actor, places.get(actor.spec.key)) for actor in actors], "missing": missing}

    async def _objects(self) -> dict[str, Any]:
        sizes = {
            remote.key_of(name): (state.nbytes, [node_id_of(worker.address) for worker in state.who_has])
            for name, state in self.registry.scheduler.tasks.items()
            if isinstance(name, str) and remote.is_ref(name) and state.state == "memory" and state.who_has
        }
        return {"objects": sizes}

    async def _workers(self) -> dict[str, Any]:
        told, missing = await self._ask_all("workers")
        workers = [facts for answer in told for facts in answer["workers"]]
        return {"workers": workers, "drivers": self.drivers, "missing": missing}

    async def _nodes(self) -> dict[str, Any]:
        available = {
            node_id_of(address): await self.registry.tell(address, "available") or {}
            for address in list(self.registry.labels)
        }
        return {
            "nodes": await self.registry.on_nodes(""),
            "available": available,
            "lost": self.lost,
            "start": self.began,
        }

    async def _of_each(self, what: str) -> dict[str, Any]:
        addresses = list(self.registry.labels)
        found: dict[str, Any] = {}
        missing: list[str] = []
        for address in addresses:
            told, silent = await self._ask_all(what, [address])
            missing += silent
            found.update({node_id_of(address): answer for answer in told})
        return {"nodes": found, "missing": missing}

    async def _logs(self) -> dict[str, Any]:
        return await self._of_each("logs")

    async def _runtime_envs(self) -> dict[str, Any]:
        return await self._of_each("runtime_envs")

    async def _stacks(self) -> dict[str, Any]:
        addresses = list(self.registry.labels)
        answers = await asyncio.gather(*(self.registry.tell(address, "stacks") for address in addresses))
        processes, missing = [], []
        for address, answer in zip(addresses, answers, strict=True):
            if answer is None:
                missing.append(f"the Dask worker at {address} gave no answer")
                continue
            processes += answer[0]
            missing += [f"process {pid} at {address} gave no answer" for pid in answer[1]]
        return {"processes": processes, "missing": missing}

    async def _jobs(self) -> dict[str, Any]:
        return {"drivers": self.drivers}

    async def _placement_groups(self) -> dict[str, Any]:
        groups = self.registry.groups
        return {"groups": groups.groups.table(), "details": groups.details}


def _call_of(state: Any) -> Call | None:
    return next((arg for arg in getattr(state.run_spec, "args", ()) if isinstance(arg, Call)), None)


_UNDER_WAY = {
    "released": "PENDING_ARGS_AVAIL",
    "waiting": "PENDING_ARGS_AVAIL",
    "queued": "PENDING_NODE_ASSIGNMENT",
    "no-worker": "PENDING_NODE_ASSIGNMENT",
    "processing": "PENDING_NODE_ASSIGNMENT",
}
"""What a call that no process has is doing, by Dask's state of its task."""


def _actor(actor: Actor, place: tuple[int, int, int, float] | None) -> dict[str, Any]:
    spec: ActorSpec = actor.spec
    here = place is not None and place[0] == actor.incarnation
    return {
        "key": spec.key,
        "class_name": spec.class_name,
        "state": "RESTARTING" if actor.state == "PENDING" and actor.incarnation else _STATES[actor.state],
        "name": spec.name,
        "namespace": spec.namespace,
        "job_id": spec.job.job_id,
        "resources": unscaled(outside(spec.running, spec.placed)),
        "env": spec.env,
        "detached": spec.detached,
        "group": None if spec.placed is None else spec.placed.group,
        "restarts": actor.incarnation,
        "created": spec.created,
        "started": actor.born,
        "ended": actor.ended,
        "cause": actor.cause,
        "node": node_id_of(actor.address) if actor.address else None,
        "worker": place[1] if here and place is not None else 0,
        "pid": place[2] if here and place is not None else 0,
    }


_STATES = {"PENDING": "PENDING_CREATION", "ALIVE": "ALIVE", "DEAD": "DEAD"}
