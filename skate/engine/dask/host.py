"""A Dask worker's part: it runs tasks and hosts actors in processes of their own, and counts what they hold.

It is a plugin of the Dask worker. Everything here runs in the worker's event loop.
"""

from __future__ import annotations

import asyncio
import math
import os
import pickle
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from distributed import Client, Reschedule
from distributed.diagnostics.plugin import WorkerPlugin
from distributed.worker_state_machine import SecedeEvent

from skate.engine.dask import remote
from skate.engine.dask.active import Active, Hosted, cancelled, dask_name
from skate.engine.dask.actors import Actors
from skate.engine.dask.bundles import Bundles
from skate.engine.dask.calls import UNIT, Call, cpus_of, node_id_of, whole_cpu
from skate.engine.dask.children import Child, Children
from skate.engine.dask.environments import Environments
from skate.engine.dask.history import LIMIT, History
from skate.engine.dask.hub import Hub
from skate.engine.dask.logs import Logs
from skate.engine.dask.results import Results
from skate.engine.dask.stock import Stock
from skate.engine.dask.tasks import Tasks

if TYPE_CHECKING:
    from distributed import Worker

    from skate.engine.base import InitConfig
    from skate.engine.dask.blob import Blob
    from skate.engine.dask.stacks import Threads

_COROUTINES = 100_000
_REMEMBERED = 10_000  # cancelled calls that have not come by yet


class Host(WorkerPlugin):  # type: ignore[misc]
    """One for each Dask worker, however many drivers there are."""

    name = remote.HOST
    idempotent = True

    def __init__(self, config: InitConfig, resources: dict[str, float], directory: str) -> None:
        self.labels = dict(config.labels)
        self.settings = {"preload": config.preload, "worker_setup": config.worker_setup}
        self.resources = resources
        """What the workers of a cluster of our own have; otherwise each has what Dask says."""
        self.directory = directory
        self.remembered = int(config.system_config.get("task_history", LIMIT))
        self.ready = False
        self.environ: dict[str, str] = {}

    async def setup(self, worker: Worker) -> None:
        """Dask hook: the plugin has come to a worker."""
        self.worker = worker
        self.environ = dict(os.environ)
        self.address: str = worker.address
        self.active: dict[int, Active] = {}
        self.cancelled: OrderedDict[int, None] = OrderedDict()
        self.tasks = Tasks(self)
        self.actors = Actors(self)
        self.results = Results(self)
        self.bundles = Bundles(self)
        self.history = History(self, self.remembered)
        self.logs = Logs(os.path.join(worker.local_directory, "skate-logs"))
        worker.handlers["skate"] = self.answer
        self._client = Client(
            worker.scheduler.address,
            asynchronous=True,
            set_as_default=False,
            security=worker.security,
            name="skate-host",
            connection_limit=remote.CONNECTIONS,
        )
        await self._client
        self.hub = Hub(self._client, worker)
        self.environments = Environments()
        self.children = Children(self, max(1, worker.state.nthreads), self.settings)
        self.hub.start(self.children.watch())
        await self._declare()
        await self.hub.listen()
        await self.hub.registry("host", self.address, self.labels)
        self.ready = True

    async def teardown(self, worker: Worker) -> None:
        """Dask hook: the worker is about to close."""
        if not self.ready:
            return
        self.ready = False
        await self.hub.close()
        await self.children.close()
        await self.environments.close()
        self.logs.close()
        await self._client.close(timeout=1)

    async def _declare(self) -> None:
        """Tell Dask what this worker has, in our units."""
        given = self.resources
        if not given:
            given = {
                "CPU": self.worker.state.nthreads,
                "memory": float(self.worker.memory_manager.memory_limit or 0),
            }
            known = dict(self.worker.state.total_resources)
            given[f"node:{remote.host_of(self.address)}"] = 1
            given.update({name: amount for name, amount in known.items() if not name.startswith("skate-")})
        ours = {remote.resource_name(name): round(amount * UNIT) for name, amount in given.items() if amount}
        ours[remote.node_resource(node_id_of(self.address))] = UNIT
        ours[remote.ANY] = remote.PLENTY
        await self.worker.set_resources(**ours)
        self.stock = Stock({name: round(amount * UNIT) for name, amount in given.items()})
        # The scheduler places by what there is. The worker need not hold back what it is sent: coroutines take no thread, and
        # what they wait for is in our ledger.
        self.worker.state.nthreads += _COROUTINES
        self.worker.state.available_resources.update(dict.fromkeys(ours, math.inf))

    def printed(self, child: Child, client: str, stream: str, who: str, pid: int, text: str) -> None:
        """User code has printed lines: they are kept, and its driver is told."""
        self.logs.write(child, stream, text)
        self.worker.log_event(remote.topic_of(client), ["print", stream, who, pid, text])

    # -- questions ----------------------------------------

    async def answer(self, payload: bytes) -> bytes:
        """The registry or another Dask worker asks."""
        op, args = pickle.loads(payload)
        part = next(
            part
            for part in (self, self.actors, self.bundles, self.history, self.logs)
            if hasattr(part, f"on_{op}")
        )
        value = getattr(part, f"on_{op}")(*args)
        if asyncio.iscoroutine(value):
            value = await value
        return pickle.dumps(value, protocol=5)

    def on_available(self) -> dict[str, float]:
        """What nobody holds here."""
        return {remote.resource_name(name): amount for name, amount in self.stock.ledger.free.items()}

    async def on_stacks(self) -> tuple[list[tuple[int, int, str, Threads]], list[int]]:
        """(pid, number, what it runs, threads) of each process that runs user code, and the pids of those that did not answer."""
        children = [child for child in self.children.all if child.pid and not child.dead.is_set()]
        answers = await asyncio.gather(*(child.stacks() for child in children))
        told = list(zip(children, answers, strict=True))
        found = [(child.pid, child.number, child.what, each) for child, each in told if each is not None]
        return found, [child.pid for child, each in told if each is None and not child.dead.is_set()]

    def on_rebalance(self) -> None:
        """A worker has joined: what waits here is placed again."""
        self.stock.ledger.send_away(Reschedule())

    def on_cancel(self, key: int, force: bool, recursive: bool) -> bool:
        """Stop a call; True if it is under way here, and will say how it ended."""
        active = self.active.get(key)
        if active is None:
            self.cancelled[key] = None
            if len(self.cancelled) > _REMEMBERED:
                self.cancelled.popitem(last=False)
            return False
        active.cancelled = True
        if recursive:
            self.hub.cancels.cancel_children(key, force)
        child = active.child
        if child is None:
            return True
        child.deliver(("cancel", key))
        if force:
            child.kill()
        elif active.call.actor and active.call.key not in child.started:
            future = child.calls.get(key)
            hosted = self.actors.hosted.get(active.call.actor)
            if future is not None and not future.done() and hosted is not None and not hosted.spec.is_asyncio:
                future.set_result((cancelled(key), False))
        return True

    def on_taken(self, key: int, count: int) -> None:
        """A generator's reader has taken so many items."""
        self._to_producer(key, "taken", count)

    def on_drop_stream(self, key: int) -> None:
        """A generator has no reader any more."""
        self._to_producer(key, "drop_stream")

    def _to_producer(self, key: int, op: str, *args: Any) -> None:
        active = self.active.get(key)
        if active is not None and active.child is not None:
            active.child.deliver((op, key, *args))

    # -- what is held ----------------------------------------

    def secede(self, name: str) -> None:
        """Count no more as work that keeps this worker busy, when Dask places other tasks: it holds no CPU, or has lent it."""
        self.worker.handle_stimulus(
            SecedeEvent(key=name, compute_duration=None, stimulus_id=f"skate-secede-{name}")
        )

    def wanted(self, name: str) -> bool:
        """Whether Dask still wants a task that has waited."""
        state = self.worker.state.tasks.get(name)
        return state is not None and state.state in ("executing", "long-running")

    def transition(self, key: Any, start: str, finish: str, **_kwargs: Any) -> None:
        """Dask hook: nobody wants a task any more that runs here, as its driver has ended."""
        if finish == "cancelled" and isinstance(key, str) and remote.is_ref(key):
            active = self.active.get(remote.key_of(key))
            if active is not None and active.child is not None and not active.call.actor:
                active.cancelled = True
                active.child.kill()

    def lend(self, key: int, child: Child, blocked: bool) -> None:
        """A call waits for others: its CPU is theirs meanwhile. Or it goes on."""
        active = self.active.get(key)
        if active is None:
            return
        active.blocked = blocked
        hosted = self.actors.hosted.get(active.call.actor) if active.call.actor else None
        if active.call.actor and (hosted is None or hosted.spec.concurrency > 1 or hosted.spec.groups):
            return
        holder = hosted or active
        demand = hosted.spec.running if hosted is not None else active.call.demand
        cpus = cpus_of(demand)
        if blocked and cpus and not holder.lent:
            holder.lent = cpus
            if whole_cpu(cpus):
                self.secede(dask_name(active.call) if hosted is None else hosted.name)
            self.stock.ledger.give(cpus)
        elif not blocked:
            self.take_back(holder)

    def take_back(self, holder: Active | Hosted) -> None:
        """What a call or an actor has lent is its own again."""
        lent, holder.lent = holder.lent, {}
        if lent:
            self.stock.ledger.take(lent)

    # -- calls ----------------------------------------

    def begin(self, call: Call) -> Active:
        """A call is under way."""
        active = self.active[call.key] = Active(call)
        return active

    def again(self, active: Active, blob: Blob | None, why: str) -> None:
        """An attempt at a call has failed, and there is to be another."""
        self.history.ended(active, blob, why)
        active.call.attempt += 1
        active.started = 0.0

    def end(self, active: Active, blob: Blob | None, why: str = "") -> None:
        """A call has ended: with a result or an error; without either, and why; or without a word, where it has not run at all."""
        self.active.pop(active.call.key, None)
        self.hub.holdings.release(active.held)
        if blob is not None or why:
            self.history.ended(active, blob, why)

    def started(self, key: int, child: Child) -> None:
        """A process begins with a call."""
        active = self.active.get(key)
        if active is not None:
            active.started = time.time()
            active.worker, active.pid = child.number, child.pid
            child.what = active.call.shown

    def child_ended(self, child: Child) -> None:
        """A process is gone."""
        self.children.all.discard(child)
        self.hub.forget_port(child)
        self.history.child_ended(child)
        self.logs.ended(child)
