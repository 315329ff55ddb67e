"""One actor's life as the registry sees it: placed by Dask, alive, restarted, dead."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import dask

from skate import exceptions
from skate.engine.dask import remote
from skate.engine.dask.blob import Blob, error_blob

if TYPE_CHECKING:
    from skate.engine.dask.calls import ActorSpec
    from skate.engine.dask.registry import Registry

PENDING, ALIVE, DEAD = "PENDING", "ALIVE", "DEAD"


class Actor:
    """An actor."""

    def __init__(self, registry: Registry, spec: ActorSpec) -> None:
        self.registry = registry
        self.spec = spec
        self.owner = f"skate-actor-{spec.key:x}"
        """In whose name its arguments are held."""
        self.state = PENDING
        self.incarnation = 0
        self.address = ""
        self.holders: set[str] = set()
        """Clients that have a handle, and objects that hold one."""
        self.death: Blob | None = None
        self.cause = ""
        """Why it is dead, in words."""
        self.born = 0.0
        """When it was last constructed, and below when it ended: seconds since the epoch."""
        self.ended = 0.0
        self._changed = asyncio.Condition()
        self._future: Any = None

    @staticmethod
    def unknown(key: int) -> Blob:
        """The error of an actor that the registry has never heard of."""
        context = exceptions.ActorDiedErrorContext(
            error_message="The actor is dead because the scheduler knows of no such actor.",
            actor_id=key.to_bytes(16, "big").hex(),
        )
        return error_blob(exceptions.ActorDiedError(context))

    def may_restart(self) -> bool:
        """Whether it has restarts left."""
        limit = self.spec.max_restarts
        return limit < 0 or self.incarnation < limit

    async def supervise(self, literals: dict[int, Blob]) -> None:
        """Have it placed, and placed again after it ended, for as long as it may."""
        from distributed import Future

        client = await self.registry.client()
        spec = self.spec
        resources = {remote.resource_name(name): amount for name, amount in spec.creation.items()}
        for node in spec.nodes:
            resources[remote.node_resource(node)] = 1
        resources[remote.ANY] = 1
        while self.state != DEAD:
            deps = [literals.get(key) or Future(remote.name_of(key), client) for key in spec.deps]
            with dask.annotate(skate_retries=0):
                self._future = client.submit(
                    remote.host_actor,
                    spec,
                    self.incarnation,
                    *deps,
                    key=f"skate-actor-{spec.key:x}-{self.incarnation}",
                    resources=resources,
                    pure=False,
                )
            del deps
            try:
                cause, restartable, error = await self._future
            except asyncio.CancelledError:
                if asyncio.current_task().cancelling():  # type: ignore[union-attr]
                    raise  # not the future, but we
                cause, restartable, error = "it was cancelled.", True, None
            except Exception as failure:
                cause, restartable, error = f"the Dask worker it lived on died: {failure}", True, None
            self._future = None
            if self.state == DEAD:
                return
            if not (restartable and self.may_restart()):
                self.die(cause, error)
                return
            self.incarnation += 1
            self.state = PENDING
            await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def hosted(self, incarnation: int, address: str) -> bool:
        """It has been constructed there."""
        if self.state == DEAD or incarnation != self.incarnation:
            return False
        self.state, self.address, self.born = ALIVE, address, time.time()
        if self.spec.max_restarts == 0:
            self.registry.forget_arguments(self)
        self.registry.begin(self._notify())
        return True

    def die(self, cause: str, error: Blob | None) -> None:
        """It is dead for good."""
        spec = self.spec
        self.state, self.cause, self.ended = DEAD, cause, time.time()
        if error is None:
            restarts = f" It had been restarted {self.incarnation} times." if self.incarnation else ""
            context = exceptions.ActorDiedErrorContext(
                error_message=f"The actor is dead because {cause}{restarts}",
                actor_id=spec.key.to_bytes(16, "big").hex(),
                class_name=spec.class_name,
                name=spec.name,
                ray_namespace=spec.namespace if spec.name else "",
            )
            error = error_blob(exceptions.ActorDiedError(context))
        self.death = error
        self.registry.free_name(self)
        self.registry.forget_arguments(self)
        self.registry.begin(self._notify())

    def die_unplaced(self, why: str) -> None:
        """There is no node for it."""
        self.die(why, error_blob(exceptions.ActorUnschedulableError(why)))

    def die_removed(self) -> None:
        """Its placement group is gone, and it has no place."""
        assert self.spec.placed is not None
        why = f"its placement group {self.spec.placed.group} was removed before it was created."
        self.die(why, error_blob(exceptions.ActorPlacementGroupRemoved(why)))

    async def stop(self, gently: bool) -> None:
        """End its process; or take it back from Dask, if it has none yet."""
        address = self.address
        if address:
            await self.registry.tell(address, "end_actor", self.spec.key, gently)
        future = self._future
        if future is not None and not address:
            await future.cancel()
        for other in list(self.registry.scheduler.workers):
            # It may be under construction.
            if other != address:
                await self.registry.tell(other, "end_actor", self.spec.key, False)

    async def restart(self) -> None:
        """End its process, and let `supervise` go on."""
        if self.address:
            self.state = PENDING
            await self.registry.tell(self.address, "end_actor", self.spec.key, False)

    async def locate(self) -> tuple[str, int] | Blob:
        """Where it lives, once it does; or why it never will."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.state != PENDING)
        if self.death is not None:
            return self.death
        return self.address, self.incarnation

    async def fate(self, incarnation: int) -> Blob | None:
        """Why it is dead; None if it lives on in a later incarnation."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.state == DEAD or self.incarnation > incarnation)
        return self.death
