"""Actors in a Dask worker: the processes that they live in, and calls to them, wherever they are."""

from __future__ import annotations

import asyncio
import pickle
import time
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.engine.dask import remote
from skate.engine.dask.active import Hosted, actor_name, cancelled, dask_name
from skate.engine.dask.blob import Blob, error_blob
from skate.engine.dask.calls import whole_cpu

if TYPE_CHECKING:
    from skate.engine.dask.calls import ActorSpec, Call
    from skate.engine.dask.children import Child
    from skate.engine.dask.host import Host

Ending = tuple[str, bool, Blob | None]
"""Why an actor's place has ended, whether the actor may restart, and an error to die with."""


class Actors:
    """The actors of a host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.hosted: dict[int, Hosted] = {}
        self._asked: dict[tuple[Any, ...], asyncio.Task[Any]] = {}

    # -- being an actor's place ----------------------------------------

    async def host_actor(self, spec: ActorSpec, incarnation: int, deps: list[Blob]) -> Ending:
        """Be an actor's place until it has ended."""
        host = self.host
        name = actor_name(spec, incarnation)
        if not whole_cpu(spec.running):
            host.secede(name)
        try:
            share = await host.stock.take(spec.creation, spec.placed)
        except exceptions.TaskPlacementGroupRemoved:
            return "its placement group was removed.", False, None
        try:
            if not host.wanted(name):
                return "it is not wanted any more.", False, None
            settled = await host.environments.prepare(spec.env)
            child = host.children.take(spec.env, settled, fresh=True)
            child.made[-1] = 1
            child.actor = spec.key
            hosted = self.hosted[spec.key] = Hosted(spec, incarnation, child, share)
            return await self._live(hosted, deps)
        except exceptions.RuntimeEnvSetupError as error:
            return str(error), False, error_blob(error)
        finally:
            host.stock.give(share)

    async def _live(self, hosted: Hosted, deps: list[Blob]) -> Ending:
        """Have an actor constructed, and wait for its end. Once constructed it holds what it needs to live, which may be less."""
        host, spec, child = self.host, hosted.spec, hosted.child
        try:
            child.deliver(("host", spec, deps, hosted.incarnation, spec.creation, list(hosted.share.gpus)))
            await asyncio.wait([child.hosted])
            if child.broken:
                raise exceptions.RuntimeEnvSetupError(child.broken)
            if child.hosted.cancelled():
                return _ending(child, f"{child.end} during the constructor."), not child.ending, None
            failure = child.hosted.result()
            if failure is not None:
                return "its constructor raised.", False, failure
            host.stock.shrink(hosted.share, spec.running)
            await host.hub.holdings.settled()
            if not await host.hub.registry("hosted", spec.key, hosted.incarnation, host.address):
                return "it is not wanted any more.", False, None
            hosted.ready = True
            hosted.born = time.time()
            await child.dead.wait()
            return _ending(child, f"{child.end} unexpectedly."), not child.ending, None
        finally:
            hosted.ready = False
            child.kill()
            host.take_back(hosted)
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

    # -- calls ----------------------------------------

    async def call_actor(self, call: Call, deps: list[Blob]) -> Blob:
        """Make a call, wherever the actor lives, and again where it may be."""
        host = self.host
        host.secede(dask_name(call))
        retries = call.retries
        while True:
            if call.key in host.cancelled:
                host.cancelled.pop(call.key, None)
                return cancelled(call.key)
            hosted = self.hosted.get(call.actor)
            if hosted is not None and hosted.ready:
                address, incarnation = host.address, hosted.incarnation
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
                call.attempt += 1
                continue
            death: Blob | None = await self._ask_once("fate", call.actor, incarnation)
            if outcome[0] == "gone":
                continue  # it never got there: the next incarnation may have it, or the reason why there is none
            if death is not None:
                return death
            if outcome[0] == "cancelled":
                return cancelled(call.key)
            if not retries:
                text = (
                    "it died during this call, and is being restarted. Whether the call had taken effect is unknown; set "
                    "max_task_retries to have such calls made again"
                )
                return error_blob(exceptions.ActorUnavailableError(text, call.actor.to_bytes(16, "big")))
            retries -= 1
            call.attempt += 1
            call.sequence = None  # its place in the order was in the incarnation that is gone

    async def _ask_once(self, *question: Any) -> Any:
        """Ask the registry what takes long to answer: once, however many calls of an actor want to know."""
        task = self._asked.get(question)
        if task is None:
            task = self._asked[question] = self.host.hub.start(self.host.hub.registry(*question))
            task.add_done_callback(lambda _task: self._asked.pop(question))
        return await asyncio.shield(task)

    async def _deliver(self, address: str, call: Call, deps: list[Blob]) -> tuple[Any, ...]:
        if address == self.host.address:
            return await self.on_deliver(call, deps)
        try:
            payload = pickle.dumps(("deliver", (call, deps)), protocol=5)
            answer = await self.host.worker.rpc(address).skate(payload=payload)
        except OSError:
            return ("died",)
        found: tuple[Any, ...] = pickle.loads(answer)
        return found

    async def on_deliver(self, call: Call, deps: list[Blob]) -> tuple[Any, ...]:
        """A call for an actor that lives here.

        Returns:
            ("done", result, whether to retry); ("gone",) if it never reached the actor; ("died",) if the actor died of it, or while it
            ran; ("cancelled",) if it did and nobody waits for the call any more.
        """
        host = self.host
        hosted = self.hosted.get(call.actor)
        if hosted is None or hosted.child.dead.is_set():
            return ("gone",)
        if call.sequence is not None:
            await self._take_turn(hosted, call)
        active = host.begin(call)
        blob: Blob | None = None
        why = ""
        try:
            if call.key in host.cancelled:
                host.cancelled.pop(call.key, None)
                blob = cancelled(call.key)
                return "done", blob, False
            if hosted.child.dead.is_set() or hosted.child.ending:
                return ("gone",)
            active.child = hosted.child
            outcome = await hosted.child.run(call, deps, hosted.spec.running, list(hosted.share.gpus))
            if outcome is None:
                why = f"its actor died: {hosted.child.end}"
                return ("cancelled",) if active.cancelled else ("died",)
            blob, retry = outcome
            return "done", await host.results.finish(active, blob), retry and not active.cancelled
        finally:
            host.end(active, blob, why)

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
                    if await self.host.hub.registry("state", remote.name_of(before)) in (
                        "memory",
                        "erred",
                        "forgotten",
                    ):
                        break
            hosted.last[caller] = max(number, hosted.last.get(caller, 0))
            hosted.passed.notify_all()


def _ending(child: Child, otherwise: str) -> str:
    return child.ending or otherwise
