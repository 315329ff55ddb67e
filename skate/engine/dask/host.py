"""A Dask worker's part: it runs tasks and hosts actors in processes of their own, and counts what they hold.

It is a plugin of the Dask worker. Everything here runs in the worker's event loop.
"""

from __future__ import annotations

import asyncio
import math
import os
import pickle
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from distributed import Client, Reschedule
from distributed.diagnostics.plugin import WorkerPlugin
from distributed.worker_state_machine import SecedeEvent

from skate import exceptions
from skate.core.ref import ObjectRef
from skate.engine.dask import remote
from skate.engine.dask.blob import MANY, Blob, error_blob
from skate.engine.dask.calls import UNIT, ActorSpec, Call, node_id_of
from skate.engine.dask.children import Child, Children
from skate.engine.dask.environments import Environments
from skate.engine.dask.hub import Hub
from skate.engine.dask.ledger import Ledger

if TYPE_CHECKING:
    from distributed import Worker

    from skate.engine.base import InitConfig

_COROUTINES = 100_000
_REMEMBERED = 10_000  # cancelled calls that have not come by yet


class Active:
    """A call under way in this Dask worker."""

    __slots__ = ("call", "cancelled", "child", "held", "items", "lent")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.child: Child | None = None
        self.cancelled = False
        self.lent = 0
        self.items: asyncio.Task[Any] | None = None
        self.held: list[Any] = []
        """What is in its result, until that is Dask's."""


class Hosted:
    """An actor that lives here."""

    def __init__(self, spec: ActorSpec, incarnation: int, child: Child, gpus: list[int]) -> None:
        self.spec = spec
        self.incarnation = incarnation
        self.name = _actor_name(spec, incarnation)
        """Dask's key for the task that is the actor's place."""
        self.ready = False
        """Whether it has been constructed, and the registry knows."""
        self.child = child
        self.gpus = gpus
        self.lent = 0
        self.last: dict[str, int] = {}
        """The number of the last call that each caller's order has let through."""
        self.passed = asyncio.Condition()


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
        self.ready = False
        self.environ: dict[str, str] = {}

    async def setup(self, worker: Worker) -> None:
        """Dask hook: the plugin has come to a worker."""
        self.worker = worker
        self.environ = dict(os.environ)
        self.address: str = worker.address
        self.active: dict[int, Active] = {}
        self._asked: dict[tuple[Any, ...], asyncio.Task[Any]] = {}
        self.hosted: dict[int, Hosted] = {}
        self.cancelled: OrderedDict[int, None] = OrderedDict()
        self.gpu_free: dict[int, int] = {}
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
        self.ledger = Ledger({name: round(amount * UNIT) for name, amount in given.items()})
        # The scheduler places by what there is. The worker need not hold back what it is sent: coroutines take no thread, and
        # what they wait for is in our ledger.
        self.worker.state.nthreads += _COROUTINES
        self.worker.state.available_resources.update(dict.fromkeys(ours, math.inf))
        self.gpu_free = dict.fromkeys(range(int(given.get("GPU", 0))), UNIT)

    def printed(self, client: str, stream: str, who: str, pid: int, text: str) -> None:
        """User code has printed lines: its driver is told."""
        self.worker.log_event(remote.topic_of(client), ["print", stream, who, pid, text])

    # -- questions ----------------------------------------

    async def answer(self, payload: bytes) -> bytes:
        """The registry or another Dask worker asks."""
        op, args = pickle.loads(payload)
        value = getattr(self, f"on_{op}")(*args)
        if asyncio.iscoroutine(value):
            value = await value
        return pickle.dumps(value, protocol=5)

    def on_available(self) -> dict[str, float]:
        """What nobody holds here."""
        return {remote.resource_name(name): amount for name, amount in self.ledger.free.items()}

    def on_rebalance(self) -> None:
        """A worker has joined: what waits here is placed again."""
        self.ledger.send_away(Reschedule())

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
            hosted = self.hosted.get(active.call.actor)
            if future is not None and not future.done() and hosted is not None and not hosted.spec.is_asyncio:
                future.set_result((_cancelled(key), False))
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

    def _secede(self, name: str) -> None:
        """Count no more as work that keeps this worker busy, when Dask places other tasks: it holds no CPU, or has lent it."""
        self.worker.handle_stimulus(
            SecedeEvent(key=name, compute_duration=None, stimulus_id=f"skate-secede-{name}")
        )

    def _wanted(self, name: str) -> bool:
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
        hosted = self.hosted.get(active.call.actor) if active.call.actor else None
        if active.call.actor and (hosted is None or hosted.spec.concurrency > 1 or hosted.spec.groups):
            return
        holder = hosted or active
        demand = hosted.spec.running if hosted is not None else active.call.demand
        cpus = demand.get("CPU", 0)
        if blocked and cpus and not holder.lent:
            holder.lent = cpus
            if cpus >= UNIT:
                self._secede(_dask_name(active.call) if hosted is None else hosted.name)
            self.ledger.give({"CPU": cpus})
        elif not blocked and holder.lent:
            lent, holder.lent = holder.lent, 0
            self.ledger.take({"CPU": lent})

    def _take_back(self, holder: Active | Hosted) -> None:
        lent, holder.lent = holder.lent, 0
        if lent:
            self.ledger.take({"CPU": lent})

    def _take_gpus(self, demand: dict[str, int]) -> dict[int, int]:
        """Which GPUs a demand is given: whole ones, or a share of one."""
        amount = demand.get("GPU", 0)
        if not amount:
            return {}
        if amount < UNIT:
            fitting = [index for index, free in self.gpu_free.items() if free >= amount]
            chosen = {min(fitting, key=lambda index: self.gpu_free[index]): amount} if fitting else {}
        else:
            whole = [index for index, free in self.gpu_free.items() if free == UNIT]
            chosen = dict.fromkeys(whole[: amount // UNIT], UNIT)
        for index, share in chosen.items():
            self.gpu_free[index] -= share
        return chosen

    def _return_gpus(self, gpus: dict[int, int]) -> None:
        for index, share in gpus.items():
            self.gpu_free[index] += share

    # -- tasks ----------------------------------------

    async def run_task(self, call: Call, deps: list[Blob]) -> Blob:
        """Run a task to its end, again where it may be."""
        name = _dask_name(call)
        if call.demand.get("CPU", 0) < UNIT:
            self._secede(name)
        await self.ledger.acquire(call.demand)
        if not self._wanted(name):
            self.ledger.give(call.demand)
            return _cancelled(call.key)
        active = self.active[call.key] = Active(call)
        gpus = self._take_gpus(call.demand)
        try:
            blob = await self._attempt(active, deps, list(gpus))
            return await self._finish(active, blob)
        finally:
            self._take_back(active)
            self._return_gpus(gpus)
            self.ledger.give(call.demand)
            self._end(active)

    def _end(self, active: Active) -> None:
        self.active.pop(active.call.key, None)
        self.hub.holdings.release(active.held)

    async def _attempt(self, active: Active, deps: list[Blob], gpus: list[int]) -> Blob:
        call = active.call
        retries = call.retries
        while True:
            if active.cancelled or call.key in self.cancelled:
                self.cancelled.pop(call.key, None)
                return _cancelled(call.key)
            try:
                child = self.children.take(call.env, await self.environments.prepare(call.env))
            except exceptions.RuntimeEnvSetupError as error:
                return error_blob(error)
            active.child = child
            outcome = await child.run(call, deps, call.demand, gpus)
            active.child = None
            self._take_back(active)
            if outcome is None:
                if child.broken:
                    return error_blob(exceptions.RuntimeEnvSetupError(child.broken))
                if active.cancelled:
                    return _cancelled(call.key)
                if not retries:
                    text = (
                        f"task {call.name} was lost: {child.end} unexpectedly. It may have been killed, or have crashed in native "
                        "code. It was not run again, as max_retries was used up."
                    )
                    return error_blob(exceptions.WorkerCrashedError(text))
            else:
                count = child.made[call.function_key] = child.made.get(call.function_key, 0) + 1
                if call.max_calls and count >= call.max_calls:
                    child.deliver(("exit",))
                else:
                    self.children.give_back(child)
                blob, retry = outcome
                if not (retry and retries) or active.cancelled:
                    return blob
            retries -= 1

    async def _finish(self, active: Active, blob: Blob) -> Blob:
        """Before a result is Dask's: what came in has been told of, and what is inside is held."""
        if active.items is not None:
            await active.items
        await self.hub.holdings.settled()
        key = active.call.key
        if blob.kind == MANY:
            holdings = [(remote.name_of(key + i), part.nested) for i, part in enumerate(blob.data)]
        else:
            holdings = [(remote.name_of(output), blob.nested) for output in active.call.outputs()]
        holdings = [(name, nested) for name, nested in holdings if nested]
        if holdings:
            await self.hub.registry("contain", holdings)
        return blob

    def hold(self, key: int, blob: Blob) -> None:
        """A result has come, and the process that made it lets go of what is inside."""
        active = self.active.get(key)
        if active is not None:
            active.held += self.hub.holdings.hold(blob.inside())

    def item(self, key: int, index: int, blob: Blob) -> None:
        """A generator has made an item."""
        active = self.active.get(key)
        if active is not None:
            self.hold(key, blob)
            active.items = asyncio.ensure_future(self._announce(active, active.items, index, blob))

    async def _announce(
        self, active: Active, before: asyncio.Task[Any] | None, index: int, blob: Blob
    ) -> None:
        if before is not None:
            await before
        await self.hub.holdings.settled()
        key = active.call.key
        name = remote.name_of(key + index + 1)
        self.worker.update_data(data={name: blob})
        about = (f"{key:x}", index, self.address)
        await self.hub.registry(
            "item", name, self.address, blob.size(), blob.nested, active.call.caller, about
        )

    def child_ended(self, child: Child) -> None:
        """A process is gone."""
        self.children.all.discard(child)
        self.hub.forget_port(child)

    # -- actors ----------------------------------------

    async def host_actor(
        self, spec: ActorSpec, incarnation: int, deps: list[Blob]
    ) -> tuple[str, bool, Blob | None]:
        """Be an actor's place until it has ended."""
        name = _actor_name(spec, incarnation)
        if spec.running.get("CPU", 0) < UNIT:
            self._secede(name)
        await self.ledger.acquire(spec.creation)
        held = dict(spec.creation)
        gpus = self._take_gpus(spec.creation)
        try:
            if not self._wanted(name):
                return "it is not wanted any more.", False, None
            settled = await self.environments.prepare(spec.env)
            child = self.children.take(spec.env, settled, fresh=True)
            child.made[-1] = 1
            hosted = self.hosted[spec.key] = Hosted(spec, incarnation, child, list(gpus))
            return await self._live(hosted, deps, held)
        except exceptions.RuntimeEnvSetupError as error:
            return str(error), False, error_blob(error)
        finally:
            self._return_gpus(gpus)
            self.ledger.give(held)

    async def _live(
        self, hosted: Hosted, deps: list[Blob], held: dict[str, int]
    ) -> tuple[str, bool, Blob | None]:
        """Have an actor constructed, and wait for its end. `held` becomes what it needs to live, which may be less."""
        spec, child = hosted.spec, hosted.child
        try:
            child.deliver(("host", spec, deps, hosted.incarnation, spec.creation, hosted.gpus))
            await asyncio.wait([child.hosted])
            if child.broken:
                raise exceptions.RuntimeEnvSetupError(child.broken)
            if child.hosted.cancelled():
                return _ending(child, f"{child.end} during the constructor."), not child.ending, None
            failure = child.hosted.result()
            if failure is not None:
                return "its constructor raised.", False, failure
            freed = {name: amount - spec.running.get(name, 0) for name, amount in spec.creation.items()}
            held.clear()
            held.update(spec.running)
            self.ledger.give(freed)
            await self.hub.holdings.settled()
            if not await self.hub.registry("hosted", spec.key, hosted.incarnation, self.address):
                return "it is not wanted any more.", False, None
            hosted.ready = True
            await child.dead.wait()
            return _ending(child, f"{child.end} unexpectedly."), not child.ending, None
        finally:
            hosted.ready = False
            child.kill()
            self._take_back(hosted)
            if self.hosted.get(spec.key) is hosted:
                del self.hosted[spec.key]

    async def on_end_actor(self, key: int, gently: bool) -> bool:
        """End an actor that lives here."""
        hosted = self.hosted.get(key)
        if hosted is None:
            return False
        child = hosted.child
        if gently and child.hosted.done():
            child.deliver(("exit",))
        else:
            child.kill()
            await child.dead.wait()
        return True

    async def call_actor(self, call: Call, deps: list[Blob]) -> Blob:
        """Make a call, wherever the actor lives, and again where it may be."""
        self._secede(_dask_name(call))
        retries = call.retries
        while True:
            if call.key in self.cancelled:
                self.cancelled.pop(call.key, None)
                return _cancelled(call.key)
            hosted = self.hosted.get(call.actor)
            if hosted is not None and hosted.ready:
                address, incarnation = self.address, hosted.incarnation
            else:
                place: Blob | tuple[str, int] = await self._ask_once("locate", call.actor)
                if isinstance(place, Blob):
                    return place
                address, incarnation = place
            outcome = await self._deliver(address, call, deps)
            if outcome[0] == "done":
                blob: Blob = outcome[1]
                if not (outcome[2] and retries):
                    return blob
                retries -= 1
                continue
            death: Blob | None = await self._ask_once("fate", call.actor, incarnation)
            if outcome[0] == "gone":
                continue  # it never got there: the next incarnation may have it, or the reason why there is none
            if death is not None:
                return death
            if not retries:
                text = (
                    "it died during this call, and is being restarted. Whether the call had taken effect is unknown; set "
                    "max_task_retries to have such calls made again"
                )
                return error_blob(exceptions.ActorUnavailableError(text, call.actor.to_bytes(16, "big")))
            retries -= 1
            call.sequence = None  # its place in the order was in the incarnation that is gone

    async def _ask_once(self, *question: Any) -> Any:
        """Ask the registry what takes long to answer: once, however many calls of an actor want to know."""
        task = self._asked.get(question)
        if task is None:
            task = self._asked[question] = self.hub.start(self.hub.registry(*question))
            task.add_done_callback(lambda _task: self._asked.pop(question))
        return await asyncio.shield(task)

    async def _deliver(self, address: str, call: Call, deps: list[Blob]) -> tuple[Any, ...]:
        if address == self.address:
            return await self.on_deliver(call, deps)
        try:
            payload = pickle.dumps(("deliver", (call, deps)), protocol=5)
            answer = await self.worker.rpc(address).skate(payload=payload)
        except OSError:
            return ("died",)
        found: tuple[Any, ...] = pickle.loads(answer)
        return found

    async def on_deliver(self, call: Call, deps: list[Blob]) -> tuple[Any, ...]:
        """A call for an actor that lives here: ("done", result, retry), or "gone" if it never reached it, or "died"."""
        hosted = self.hosted.get(call.actor)
        if hosted is None or hosted.child.dead.is_set():
            return ("gone",)
        if call.sequence is not None:
            await self._take_turn(hosted, call)
        active = self.active[call.key] = Active(call)
        try:
            if call.key in self.cancelled:
                self.cancelled.pop(call.key, None)
                return "done", _cancelled(call.key), False
            if hosted.child.dead.is_set() or hosted.child.ending:
                return ("gone",)
            active.child = hosted.child
            outcome = await hosted.child.run(call, deps, hosted.spec.running, hosted.gpus)
            if outcome is None:
                return ("died",)
            blob, retry = outcome
            return "done", await self._finish(active, blob), retry and not active.cancelled
        finally:
            self._end(active)

    async def _take_turn(self, hosted: Hosted, call: Call) -> None:
        """Wait until the call before this one, of the same caller, has been let through, here or elsewhere."""
        assert call.sequence is not None
        caller, number, before = call.sequence
        async with hosted.passed:
            while number > 1 and hosted.last.get(caller, 0) < number - 1 and not hosted.child.dead.is_set():
                try:
                    await asyncio.wait_for(hosted.passed.wait(), 0.25)
                except TimeoutError:
                    # It may have gone to an incarnation that is no more, or have been cancelled.
                    if await self.hub.registry("state", remote.name_of(before)) in (
                        "memory",
                        "erred",
                        "forgotten",
                    ):
                        break
            hosted.last[caller] = max(number, hosted.last.get(caller, 0))
            hosted.passed.notify_all()


def _dask_name(call: Call) -> str:
    name = remote.name_of(call.key)
    return f"{name}-all" if isinstance(call.returns, int) and call.returns > 1 else name


def _actor_name(spec: ActorSpec, incarnation: int) -> str:
    return f"skate-actor-{spec.key:x}-{incarnation}"


def _cancelled(key: int) -> Blob:
    return error_blob(exceptions.TaskCancelledError(ObjectRef(key).task_id()))


def _ending(child: Child, otherwise: str) -> str:
    return child.ending or otherwise
