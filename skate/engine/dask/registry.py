"""What must be agreed on, in the scheduler's process: actors and their names, which object holds which, key-value pairs.

It is a plugin of the Dask scheduler and answers questions of the hubs (`Hub.registry`). Each actor has a coroutine here that has
Dask place it, and place it again when it is to be restarted (`supervise.py`).
"""

from __future__ import annotations

import asyncio
import pickle
import time
from typing import TYPE_CHECKING, Any

from distributed import Client
from distributed.diagnostics.plugin import SchedulerPlugin

from skate.engine.dask import remote
from skate.engine.dask.calls import NO_FORCE, ActorSpec, Call, job_id_of, node_id_of, unscaled
from skate.engine.dask.facts import Facts
from skate.engine.dask.groups import PlacementGroups, group_in, group_mark
from skate.engine.dask.supervise import ALIVE, DEAD, Actor

if TYPE_CHECKING:
    from distributed import Scheduler

    from skate.engine.dask.blob import Blob, Name

_GRACE = 2.0  # seconds that a question may be ahead of the stream of what it is about
_NEVER = 10**9
_NOT_PLACED = ("released", "waiting", "no-worker", "queued")


class Registry(SchedulerPlugin):  # type: ignore[misc]
    """One for each Dask scheduler, however many drivers there are."""

    name = remote.REGISTRY
    idempotent = True

    def __init__(self) -> None:
        self.actors: dict[int, Actor] = {}
        self.names: dict[tuple[str, str], Actor] = {}
        self.pairs: dict[tuple[bytes, bytes], bytes] = {}
        self.contained: dict[str, list[Name]] = {}
        self.jobs = 0
        self.labels: dict[str, dict[str, str]] = {}

    async def start(self, scheduler: Scheduler) -> None:
        """Dask hook: the plugin has been installed."""
        self.scheduler = scheduler
        self.groups = PlacementGroups(self)
        self.facts = Facts(self)
        self._client: Client | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._warned: set[str] = set()
        scheduler.handlers["skate"] = self.answer

    async def client(self) -> Client:
        """The client in whose name actors are placed."""
        if self._client is None:
            made = Client(
                self.scheduler.address,
                asynchronous=True,
                set_as_default=False,
                security=self.scheduler.security,
                name="skate-registry",
            )
            self._client = made
            await made
        elif self._client.status != "running":
            await self._client
        return self._client

    def begin(self, work: Any) -> None:
        """Do something beside the loop."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def before_close(self) -> None:
        """Dask hook: the scheduler is about to close."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close(timeout=1)

    async def answer(self, payload: bytes) -> bytes:
        """A hub asks."""
        op, client, args = pickle.loads(payload)
        try:
            part = next(part for part in (self, self.groups, self.facts) if hasattr(part, f"on_{op}"))
            value = await getattr(part, f"on_{op}")(client, *args)
            return pickle.dumps((True, value), protocol=5)
        except Exception as error:
            return pickle.dumps((False, error), protocol=5)

    # -- Dask's own events ----------------------------------------

    def update_graph(self, scheduler: Scheduler, *, tasks: Any = (), **_kwargs: Any) -> None:
        """Dask hook: tasks have arrived. Dask gives up on one after it lost so many workers: start the count where max_retries says."""
        for name in tasks:
            state = scheduler.tasks.get(name)
            retries = (
                None if state is None or not state.annotations else state.annotations.get("skate_retries")
            )
            if retries is not None:
                state.suspicious = scheduler.allowed_failures - retries if retries >= 0 else -_NEVER
                group = group_in(state.resource_restrictions)
                if group is None:
                    self._check_feasible(state)
                elif self.groups.gone(group):
                    self._fail_unplaced(state, group)

    def _check_feasible(self, state: Any) -> None:
        """Tell a driver, once, of a demand that exceeds all there is."""
        demand = state.resource_restrictions or {}
        workers = self.scheduler.workers.values()
        if any(all(w.resources.get(name, 0) >= amount for name, amount in demand.items()) for w in workers):
            return
        what = next((arg for arg in state.run_spec.args if isinstance(arg, Call | ActorSpec)), None)
        if what is None or not demand:
            return
        who = f"task {what.name}" if isinstance(what, Call) else f"actor {what.class_name}"
        needed = _ours(demand)
        most = {
            name: max((_ours(w.resources).get(name, 0.0) for w in workers), default=0.0) for name in needed
        }
        text = (
            f"{who} needs {_amounts(needed)}, but no Dask worker has more than {_amounts(most)}: it waits until one joins that "
            "has. Ask for less, or give init() or a worker more."
        )
        if text not in self._warned:
            self._warned.add(text)
            self.scheduler.log_event(remote.topic_of(what.job.client), ["warn", text])

    def _fail_unplaced(self, state: Any, group: str) -> None:
        """A task has no place, as its placement group is gone: tell whoever called it."""
        if remote.is_ref(state.key):
            topics = [remote.topic_of(client) for client in self.scheduler.clients]
            self.scheduler.log_event(topics, ["unplaced", f"{remote.key_of(state.key):x}", group])

    def end_in_group(self, group: str) -> None:
        """A placement group is gone: end its actors, and fail the tasks that no Dask worker has."""
        for actor in list(self.actors.values()):
            if actor.spec.placed is not None and actor.spec.placed.group == group:
                self.end_unplaced(actor)
        for state in list(self.scheduler.tasks.values()):
            if group_mark(group) in (state.resource_restrictions or ()) and state.state in _NOT_PLACED:
                self._fail_unplaced(state, group)

    def end_unplaced(self, actor: Actor) -> None:
        """An actor's placement group is gone."""
        if actor.state == ALIVE:
            self.end(actor, "its placement group was removed.")
        elif actor.state != DEAD:
            actor.die_removed()
            self.begin(actor.stop(False))

    def place_waiting(self, address: str) -> None:
        """A Dask worker has something that it had not: Dask looks for a place once, so have it look again."""
        worker = self.scheduler.workers.get(address)
        if worker is not None:
            waiting = self.scheduler.bulk_schedule_unrunnable_after_adding_worker(worker)
            self.scheduler.transitions(waiting, f"skate-place-{address}")

    def remove_worker(self, scheduler: Scheduler, worker: str, **_kwargs: Any) -> None:
        """Dask hook: a Dask worker has gone."""
        self.facts.worker_left(worker)
        self.labels.pop(worker, None)
        self.begin(self.groups.worker_left(worker))

    def transition(self, key: Any, start: str, finish: str, *_args: Any, **_kwargs: Any) -> None:
        """Dask hook: a task's state has changed."""
        if finish == "memory":
            state = self.scheduler.tasks.get(key)
            if state is not None and state.annotations and state.annotations.get("skate_call"):
                state.run_spec = None  # the result of an actor's call is data: the call must not be made again to rebuild it
        elif finish == "forgotten" and key in self.contained:
            asyncio.get_running_loop().call_soon(self._release, key)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Dask hook: a driver or a Dask worker has gone."""
        self.facts.client_left(client)
        self.begin(self.groups.creator_left(client))
        for actor in list(self.actors.values()):
            actor.holders.discard(client)
            if actor.spec.job.client == client and not actor.spec.detached:
                self.end(actor, "the driver that created it has ended.")
            else:
                self.end_if_unused(actor)

    # -- refs ----------------------------------------

    async def _known(self, names: list[str]) -> list[str]:
        """Wait until the scheduler knows of these, for it may hear of them a moment after we do. Returns those it does not."""
        tasks = self.scheduler.tasks
        deadline = time.monotonic() + _GRACE
        while missing := [name for name in names if name not in tasks]:
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.003)
        return missing

    async def on_desire(self, client: str, names: list[str]) -> list[str]:
        """A hub has got refs from elsewhere. Returns those that are lost."""
        missing = await self._known(names)
        self.scheduler.client_desires_keys([name for name in names if name not in missing], client)
        return missing

    async def on_contain(self, _client: str, holdings: list[tuple[str, tuple[Name, ...]]]) -> None:
        """Objects with refs inside: what is inside lives for as long as the object does."""
        for outer, nested in holdings:
            inner = [remote.name_of(key) for kind, key in nested if kind == "ref"]
            missing = await self._known([outer, *inner])
            self.scheduler.client_desires_keys([n for n in inner if n not in missing], f"skate-in-{outer}")
            for kind, key in nested:
                actor = await self._actor(key) if kind == "actor" else None
                if actor is not None:
                    actor.holders.add(outer)
            self.contained.setdefault(outer, []).extend(nested)
            if outer in missing:
                self._release(outer)

    def _release(self, outer: str) -> None:
        if outer in self.scheduler.tasks:
            return
        nested = self.contained.pop(outer, [])
        owner = f"skate-in-{outer}"
        if owner in self.scheduler.clients:
            names = [remote.name_of(key) for kind, key in nested if kind == "ref"]
            self.scheduler.client_releases_keys(keys=names, client=owner)
            del self.scheduler.clients[owner]
        for kind, key in nested:
            actor = self.actors.get(key) if kind == "actor" else None
            if actor is not None:
                actor.holders.discard(outer)
                self.end_if_unused(actor)

    async def on_item(
        self,
        _client: str,
        name: str,
        address: str,
        nbytes: int,
        nested: tuple[Name, ...],
        to: str,
        about: Any,
    ) -> None:
        """A generator's item lies on a Dask worker: tell whoever called it."""
        self.scheduler.update_data(who_has={name: [address]}, nbytes={name: nbytes}, client=to)
        if nested:
            await self.on_contain("", [(name, nested)])
        self.scheduler.log_event(remote.topic_of(to), ["item", *about])

    async def on_cancel(self, client: str, key: int, force: bool, recursive: bool) -> bool:
        """Stop a task. True if a Dask worker is at it, which will say how it ended, or if it has ended."""
        name = remote.name_of(key)
        state = None if await self._known([name]) else self.scheduler.tasks.get(name)
        if state is None or state.state in ("memory", "erred", "released", "forgotten"):
            return True
        if force and state.annotations and state.annotations.get("skate_call"):
            raise ValueError(NO_FORCE)
        found = False
        for address in list(self.scheduler.workers):
            found = await self.tell(address, "cancel", key, force, recursive) or found
        if not found:
            others = [remote.topic_of(other) for other in self.scheduler.clients if other != client]
            self.scheduler.log_event(others, ["cancelled", f"{key:x}"])
        return found

    async def tell(self, address: str, op: str, *args: Any) -> Any:
        """Ask the host in a Dask worker; None if it is gone."""
        try:
            answer = await self.scheduler.rpc(address).skate(payload=pickle.dumps((op, args), protocol=5))
        except OSError:
            return None
        return pickle.loads(answer)

    # -- actors ----------------------------------------

    async def on_create(self, client: str, spec: ActorSpec, unplaced: str, literals: dict[int, Blob]) -> Any:
        """Create an actor. Returns the key and meta of the one that has its name, if there is one."""
        if spec.name:
            taken = self.names.get((spec.namespace, spec.name))
            if taken is not None:
                return taken.spec.key, taken.spec.meta
        actor = self.actors[spec.key] = Actor(self, spec)
        actor.holders.add(client)
        if spec.name:
            self.names[spec.namespace, spec.name] = actor
        if unplaced:
            actor.die_unplaced(unplaced)
            return None
        if spec.placed is not None and self.groups.gone(spec.placed.group):
            actor.die_removed()
            return None
        names = [remote.name_of(key) for key in spec.deps if key not in literals]
        names += [remote.name_of(key) for kind, key in spec.nested if kind == "ref"]
        missing = await self._known(names)
        self.scheduler.client_desires_keys([name for name in names if name not in missing], actor.owner)
        for kind, key in spec.nested:
            if kind == "actor" and key in self.actors:
                self.actors[key].holders.add(actor.owner)
        self.begin(actor.supervise(literals))
        return None

    def forget_arguments(self, actor: Actor) -> None:
        """An actor will not be created again."""
        if actor.owner in self.scheduler.clients:
            names = [remote.name_of(key) for key in actor.spec.deps]
            names += [remote.name_of(key) for kind, key in actor.spec.nested if kind == "ref"]
            self.scheduler.client_releases_keys(keys=names, client=actor.owner)
            del self.scheduler.clients[actor.owner]
        for kind, key in actor.spec.nested:
            held = self.actors.get(key) if kind == "actor" else None
            if held is not None:
                held.holders.discard(actor.owner)
                self.end_if_unused(held)

    async def on_hold_actor(self, client: str, key: int) -> None:
        """A hub has a handle."""
        actor = await self._actor(key)
        if actor is not None:
            actor.holders.add(client)

    async def on_release_actor(self, client: str, key: int) -> None:
        """A hub has no handle any more."""
        actor = await self._actor(key)
        if actor is not None:
            actor.holders.discard(client)
            self.end_if_unused(actor)

    async def _actor(self, key: int) -> Actor | None:
        deadline = time.monotonic() + _GRACE
        while key not in self.actors and time.monotonic() < deadline:
            await asyncio.sleep(0.003)
        return self.actors.get(key)

    def end_if_unused(self, actor: Actor) -> None:
        """End an actor that nobody can reach."""
        if not actor.holders and not actor.spec.detached:
            self.end(actor, "all references to the actor were removed.", gently=True)

    def end(self, actor: Actor, cause: str, gently: bool = False) -> None:
        """End an actor for good."""
        if actor.state != DEAD:
            actor.die(cause, None)
            self.begin(actor.stop(gently))

    def free_name(self, actor: Actor) -> None:
        """A dead actor's name can be taken."""
        place = (actor.spec.namespace, actor.spec.name)
        if self.names.get(place) is actor:
            del self.names[place]

    async def on_kill(self, _client: str, key: int, no_restart: bool) -> None:
        """`skate.kill`."""
        actor = await self._actor(key)
        if actor is None or actor.state == DEAD:
            return
        if no_restart or not actor.may_restart():
            self.end(actor, "it was killed by `ray.kill`.")
        else:
            await actor.restart()

    async def on_locate(self, _client: str, key: int) -> tuple[str, int] | Blob:
        """Where an actor lives and its incarnation, once it does; or why it never will."""
        actor = await self._actor(key)
        if actor is None:
            return Actor.unknown(key)
        return await actor.locate()

    async def on_fate(self, _client: str, key: int, incarnation: int) -> Blob | None:
        """After an incarnation was lost: why the actor is dead, or None if it comes back."""
        actor = await self._actor(key)
        if actor is None:
            return Actor.unknown(key)
        return await actor.fate(incarnation)

    async def on_hosted(self, _client: str, key: int, incarnation: int, address: str) -> bool:
        """An actor has been constructed. False if it is not wanted any more."""
        return self.actors[key].hosted(incarnation, address)

    async def on_state(self, _client: str, name: str) -> str:
        """Dask's state of a task, "forgotten" if it knows of none."""
        state = self.scheduler.tasks.get(name)
        return "forgotten" if state is None else str(state.state)

    async def on_find(self, _client: str, name: str, namespace: str) -> Any:
        """The key and meta of a named actor."""
        actor = self.names.get((namespace, name))
        return None if actor is None else (actor.spec.key, actor.spec.meta)

    async def on_names(self, _client: str) -> list[tuple[str, str]]:
        """Where the named actors are, and their names."""
        return list(self.names)

    # -- the cluster ----------------------------------------

    async def on_job(self, client: str, about: dict[str, Any]) -> int:
        """A driver has come: a number for it."""
        self.jobs += 1
        self.facts.driver(client, {**about, "job_id": job_id_of(self.jobs)})
        return self.jobs

    async def on_host(self, _client: str, address: str, labels: dict[str, str]) -> None:
        """Our part of a Dask worker is ready."""
        self.labels[address] = labels
        self.facts.worker_came(address)
        self.place_waiting(address)
        for other in list(self.scheduler.workers):
            if other != address:
                self.begin(self.tell(other, "rebalance"))

    async def on_nodes(self, _client: str) -> list[dict[str, Any]]:
        """The Dask workers, as `skate.nodes()` shows them."""
        return [self.node(worker) for worker in self.scheduler.workers.values()]

    def node(self, worker: Any) -> dict[str, Any]:
        """A Dask worker, as `skate.nodes()` shows it."""
        node_id = node_id_of(worker.address)
        labels = self.labels.get(worker.address, {})
        return {
            "NodeID": node_id,
            "Alive": True,
            "NodeManagerAddress": remote.host_of(worker.address),
            "NodeManagerHostname": remote.host_of(worker.address),
            "NodeManagerPort": 0,
            "ObjectManagerPort": 0,
            "ObjectStoreSocketName": "",
            "RayletSocketName": worker.address,
            "MetricsExportPort": 0,
            "MetricsAgentPort": 0,
            "DashboardAgentListenPort": 0,
            "NodeName": str(worker.name),
            "RuntimeEnvAgentPort": 0,
            "DeathReason": 0,
            "DeathReasonMessage": "",
            "alive": True,
            "Resources": _ours(worker.resources),
            "Labels": {"ray.io/node-id": node_id, **labels},
        }

    async def on_resources(self, _client: str) -> dict[str, float]:
        """All there is."""
        total: dict[str, float] = {}
        for worker in self.scheduler.workers.values():
            for name, amount in _ours(worker.resources).items():
                total[name] = total.get(name, 0) + amount
        return total

    async def on_available(self, _client: str) -> dict[str, float]:
        """What nobody holds."""
        free: dict[str, float] = {}
        for address in list(self.scheduler.workers):
            for name, amount in _ours(await self.tell(address, "available") or {}).items():
                free[name] = free.get(name, 0) + amount
        return {name: amount for name, amount in free.items() if amount > 0}

    async def on_kv(
        self, _client: str, action: str, key: bytes, value: bytes | None, namespace: bytes, overwrite: bool
    ) -> Any:
        """The small shared dictionary."""
        place = (namespace, key)
        if action == "put":
            assert value is not None
            new = place not in self.pairs
            if new or overwrite:
                self.pairs[place] = value
            return new
        if action == "get":
            return self.pairs.get(place)
        if action == "del":
            return self.pairs.pop(place, None) is not None
        return [k for space, k in self.pairs if space == namespace and k.startswith(key)]


def _ours(resources: dict[str, float]) -> dict[str, float]:
    prefix = remote.resource_name("")
    found = {
        name[len(prefix) :]: amount
        for name, amount in resources.items()
        if name.startswith(prefix) and not name.startswith((remote.NODE, remote.ANY))
    }
    return unscaled(found)


def _amounts(amounts: dict[str, float]) -> str:
    return "{" + ", ".join(f"{name}: {amount:g}" for name, amount in sorted(amounts.items())) + "}"
