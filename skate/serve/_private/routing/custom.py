"""A user's router, between the queue and the replicas."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import TYPE_CHECKING, Any

import skate
from skate.serve._private.common import DeploymentID, ReplicaID
from skate.serve._private.routing.choice import shorter_of_two
from skate.serve.request_router import PendingRequest, RequestRouter, RunningReplica

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from skate.serve._private.routing.request import Request
    from skate.serve._private.routing.router import Slot
    from skate.serve.config import RequestRouterConfig


class CustomChoice:
    """Asks a user's router.

    Its coroutine is run on the spot, as it seldom waits for anything; one that does is run to its end by a thread.
    """

    def __init__(self, deployment: DeploymentID, config: RequestRouterConfig) -> None:
        self._deployment = deployment
        cls = config.get_request_router_class()
        self._router: RequestRouter = cls(deployment, skate.get_runtime_context().get_node_id())
        self._router.initialize_state(**config.request_router_kwargs)

    def update(self, slots: list[Slot]) -> None:
        """There are other replicas now."""
        self._router.update_replicas([self._seen(slot) for slot in slots])

    def choose(self, slots: list[Slot], request: Request, now: float) -> Slot | None:
        """The replica that takes the request; None if none that the router names has room."""
        if not slots:
            return None
        by_id = {slot.info.id: slot for slot in slots}
        ranks = _run(self._router.choose_replicas([self._seen(slot) for slot in slots], _pending(request)))
        for rank in ranks:
            named = [by_id[r.replica_id.unique_id] for r in rank if r.replica_id.unique_id in by_id]
            chosen = shorter_of_two(named, now)
            if chosen is not None:
                return chosen
        return None

    def routed(self, slot: Slot, request: Request, sent: Any) -> None:
        """A request has been sent."""
        self._router.on_request_routed(_pending(request), self._seen(slot).replica_id, sent)

    def completed(self, slot: Slot, request: Request) -> None:
        """Its answer has come."""
        self._router.on_request_completed(self._seen(slot).replica_id, request.meta.request_id)

    def _seen(self, slot: Slot) -> RunningReplica:
        info = slot.info
        return RunningReplica(
            ReplicaID(info.id, self._deployment),
            slot.limit,
            slot.ongoing,
            frozenset(info.model_ids),
            info.node_id,
        )


def _pending(request: Request) -> PendingRequest:
    return PendingRequest(list(request.args), request.kwargs, request.meta)


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    # It waits for something: whatever that was belongs to no loop, so a fresh one takes over from here.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, _rest(coroutine)).result()


async def _rest(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Go on with a coroutine that has yielded once, as after `asyncio.sleep(0)`."""
    await asyncio.sleep(0)
    while True:
        try:
            waits_for = coroutine.send(None)
        except StopIteration as done:
            return done.value
        if waits_for is not None:
            await asyncio.wait([waits_for])
        else:
            await asyncio.sleep(0)
