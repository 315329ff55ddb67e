"""A user's router, between the queue and the replicas: it is asked on a loop of its own, in a thread."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import skate
from skate.serve._private.common import ReplicaID
from skate.serve._private.logs import logger
from skate.serve._private.routing.choice import shorter_of_two
from skate.serve.request_router import (
    DeploymentHandleSource,
    LocalityMixin,
    PendingRequest,
    RequestRouter,
    RunningReplica,
)

if TYPE_CHECKING:
    from skate.serve._private.routing.request import Request
    from skate.serve._private.routing.router import Router, Slot
    from skate.serve.config import RequestRouterConfig

_END_S = 5.0


class CustomChoice:
    """Takes a queue's requests one after the other, asks a user's router where each should go, and sends it there.

    Args:
        router: Whose queue it is.
        config: Names the user's class.
    """

    def __init__(self, router: Router, config: RequestRouterConfig) -> None:
        self._router = router
        self._config = config
        self._theirs: RequestRouter | None = None
        self._seen: dict[str, RunningReplica] = {}
        self._pending: dict[Request, PendingRequest] = {}
        self._news = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._ended = False
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._live, name="serve-router", daemon=True)
        self._thread.start()

    # -- what happens, told on any thread ----------------------------------------

    def wake(self) -> None:
        """A request waits, or a replica may have room."""
        self._call(self._news.set)

    def update(self, slots: list[Slot]) -> None:
        """There are other replicas now."""
        self._call(self._update, slots)

    def routed(self, slot: Slot, request: Request, sent: Any) -> None:
        """A request has been sent."""
        pending = self._pending.pop(request, None)
        if pending is not None:
            self._call(self._told, "on_request_routed", pending, self._id(slot), sent)

    def completed(self, slot: Slot, request: Request) -> None:
        """Its answer has come."""
        self._call(self._told, "on_request_completed", self._id(slot), request.meta.request_id)

    def died(self, slot: Slot) -> None:
        """A replica has died."""
        self._call(self._told, "on_replica_actor_died", self._id(slot))

    def end(self, wait: bool = False) -> None:
        """Route no more; with `wait`, return once its thread has ended, unless the user's code keeps that for too long."""
        self._ended = True
        self._call(lambda: self._task is not None and self._task.cancel())
        if wait and threading.current_thread() is not self._thread:
            self._thread.join(_END_S)

    def _call(self, function: Any, *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            pass  # it has ended

    def _id(self, slot: Slot) -> ReplicaID:
        return ReplicaID(slot.info.id, self._router.deployment)

    # -- on its loop ----------------------------------------

    def _live(self) -> None:
        self._task = self._loop.create_task(self._run())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass  # as it is ended
        finally:
            self._loop.close()

    def _make(self) -> RequestRouter:
        cls = self._config.get_request_router_class()
        node = skate.get_runtime_context().get_node_id()
        options: dict[str, Any] = {"self_node_id": node} if issubclass(cls, LocalityMixin) else {}
        made: RequestRouter = cls(
            deployment_id=self._router.deployment,
            handle_source=DeploymentHandleSource.UNKNOWN,
            initial_backoff_s=self._config.initial_backoff_s,
            backoff_multiplier=self._config.backoff_multiplier,
            max_backoff_s=self._config.max_backoff_s,
            **options,
        )
        made._pending_count = lambda: self._router.queued
        made.initialize_state(**self._config.request_router_kwargs)
        made.update_replicas(list(self._seen.values()))
        return made

    async def _run(self) -> None:
        pause = 0.0
        while not self._ended:
            request = self._router.first_waiting()
            if request is None:
                await self._news.wait()
                self._news.clear()
                continue
            self._news.clear()
            try:
                chosen = await self._choose(request)
            except Exception as error:  # noqa: BLE001 -- a user's router may raise anything: the caller is told
                logger.exception("The request router of %s raised.", self._router.deployment)
                self._router.drop(request, error)
                continue
            if chosen is not None and self._router.take(request, chosen):
                pause = 0.0
                continue
            # Every replica that was named is full: until one has room, or for a while.
            pause = min(
                self._config.max_backoff_s,
                max(self._config.initial_backoff_s, pause * self._config.backoff_multiplier),
            )
            try:
                await asyncio.wait_for(self._news.wait(), pause)
            except TimeoutError:
                pass

    async def _choose(self, request: Request) -> Slot | None:
        if self._theirs is None:
            self._theirs = self._make()
        theirs = self._theirs
        if not theirs.curr_replicas:
            return None
        pending = self._pending.get(request)
        if pending is None:
            pending = PendingRequest(list(request.args), request.kwargs, request.meta)
            self._pending = {request: pending}  # requests are routed one after the other
        ranks = await theirs.choose_replicas(list(theirs.curr_replicas.values()), pending)
        now = time.monotonic()
        for rank in ranks:
            slots = self._router.slots
            named = [
                slot
                for r in rank
                if (slot := slots.get(r.replica_id.unique_id)) is not None and not slot.gone
            ]
            chosen = shorter_of_two(named, now)
            if chosen is not None:
                return chosen
        return None

    def _update(self, slots: list[Slot]) -> None:
        fresh = {}
        for slot in slots:
            known = self._seen.get(slot.info.id)
            if known is None:
                known = RunningReplica(slot)
            fresh[slot.info.id] = known
        self._seen = fresh
        self._told("update_replicas", list(fresh.values()))
        self._news.set()

    def _told(self, method: str, *args: Any) -> None:
        if self._theirs is None:
            return
        try:
            getattr(self._theirs, method)(*args)
        except Exception:  # noqa: BLE001 -- a user's router may raise anything: requests go on
            logger.exception("%s of the request router of %s raised.", method, self._router.deployment)
