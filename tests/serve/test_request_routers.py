"""Routers that users write."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from skate import serve
from skate.serve._private.common import DeploymentID, RequestMeta
from skate.serve.config import RequestRouterConfig
from skate.serve.experimental.consistent_hash_router import ConsistentHashRouter
from skate.serve.experimental.round_robin_router import RoundRobinRouter
from skate.serve.request_router import PendingRequest, RequestRouter, RunningReplica
from tests.serve.conftest import until


class Sticky(RequestRouter):
    """Everything to the replica whose name comes first; what has been routed is kept."""

    def initialize_state(self, waits: bool = False, **_kwargs: Any) -> None:
        self.waits = waits
        self.routed: list[str] = []

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        if self.waits:
            await asyncio.sleep(0)
        assert pending_request is not None
        return [[min(candidate_replicas, key=lambda replica: replica.replica_id.unique_id)]]


@pytest.mark.parametrize("waits", [False, True])
def test_a_router_of_ones_own_decides(instance: None, waits: bool) -> None:
    @serve.deployment(
        num_replicas=3,
        request_router_config=RequestRouterConfig(
            request_router_class=Sticky, request_router_kwargs={"waits": waits}
        ),
    )
    class Who:
        def __call__(self) -> str:
            return serve.get_replica_context().replica_tag

    handle = serve.run(Who.bind(), route_prefix=None)
    assert len({handle.remote().result() for _ in range(10)}) == 1


def test_a_router_by_its_path(instance: None) -> None:
    @serve.deployment(
        num_replicas=2,
        request_router_config={
            "request_router_class": "ray.serve.experimental.round_robin_router:RoundRobinRouter"
        },
    )
    class Who:
        def __call__(self) -> str:
            return serve.get_replica_context().replica_tag

    handle = serve.run(Who.bind(), route_prefix=None)
    answers: list[Any] = [handle.remote().result() for _ in range(6)]
    assert len(set(answers)) == 2
    assert answers[::2] == [answers[0]] * 3


class Emptiest(RequestRouter):
    """To the replica that says that it has the fewest requests, among those that say that they are open."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        lengths = {
            replica.replica_id: await replica.get_queue_len(deadline_s=10) for replica in candidate_replicas
        }
        open_ones = [replica for replica in candidate_replicas if replica.routing_stats.get("open")]
        return [sorted(open_ones, key=lambda replica: lengths[replica.replica_id])]


def test_a_router_knows_what_replicas_say(instance: None) -> None:
    @serve.deployment(
        num_replicas=2,
        request_router_config=RequestRouterConfig(
            request_router_class=Emptiest, request_routing_stats_period_s=0.05
        ),
    )
    class Shop:
        def __init__(self) -> None:
            self.open = serve.get_replica_context().rank.rank == 0

        def record_routing_stats(self) -> dict[str, Any]:
            return {"open": self.open}

        def __call__(self) -> int:
            return serve.get_replica_context().rank.rank

    handle = serve.run(Shop.bind(), route_prefix=None)
    assert [handle.remote().result(timeout_s=20) for _ in range(5)] == [0] * 5


class Broken(RequestRouter):
    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        raise ValueError("no idea")


def test_a_router_that_raises_fails_the_request(instance: None) -> None:
    @serve.deployment(request_router_config=RequestRouterConfig(request_router_class=Broken))
    def nothing() -> None: ...

    handle = serve.run(nothing.bind(), route_prefix=None)
    with pytest.raises(ValueError, match="no idea"):
        handle.remote().result(timeout_s=20)


def test_requests_for_a_model_go_where_it_is(instance: None) -> None:
    @serve.deployment(num_replicas=2)
    class Models:
        @serve.multiplexed(max_num_models_per_replica=2)
        async def get_model(self, model_id: str) -> str:
            return model_id

        async def __call__(self) -> str:
            await self.get_model(serve.get_multiplexed_model_id())
            return serve.get_replica_context().replica_tag

    handle = serve.run(Models.bind(), route_prefix=None)
    first = handle.options(multiplexed_model_id="a")
    home = first.remote().result()
    # The news that the model is there takes a moment; from then on every request for it goes there.

    until(lambda: any("a" in slot.info.model_ids for slot in first._router.slots.values()))
    assert {first.remote().result() for _ in range(10)} == {home}


def _replicas(*names: str, models: tuple[str, ...] = ()) -> list[RunningReplica]:
    id_ = DeploymentID("D", "app")
    made: list[Any] = [
        SimpleNamespace(info=SimpleNamespace(id=name, model_ids=models), deployment=id_) for name in names
    ]
    return [RunningReplica(slot) for slot in made]


def _names(ranks: Any) -> list[str]:
    return [replica.replica_id.unique_id for rank in ranks for replica in rank]


async def _chosen(router: RequestRouter, session: str = "", model: str = "") -> list[str]:
    meta = RequestMeta(request_id="r", session_id=session, multiplexed_model_id=model)
    pending = PendingRequest([], {}, meta)
    return _names(await router.choose_replicas(list(router.curr_replicas.values()), pending))


def _hashing(*names: str, **kwargs: int) -> ConsistentHashRouter:
    router = ConsistentHashRouter(DeploymentID("D", "app"))
    router.initialize_state(**kwargs)
    router.update_replicas(_replicas(*names))
    return router


async def _homes(router: RequestRouter) -> dict[str, str]:
    return {str(number): (await _chosen(router, str(number)))[0] for number in range(300)}


def test_a_session_stays_when_replicas_come() -> None:
    async def main() -> None:
        three, four = await _homes(_hashing("a", "b", "c")), await _homes(_hashing("a", "b", "c", "d"))
        moved = {session for session in three if three[session] != four[session]}
        assert {four[session] for session in moved} == {"d"}  # nobody moves between those that were there
        assert set(three.values()) == {"a", "b", "c"}

    asyncio.run(main())


def test_the_next_replicas_on_the_ring_stand_in() -> None:
    async def main() -> None:
        ranks = await _chosen(_hashing("a", "b", "c", "d"), "s")
        assert len(ranks) == len(set(ranks)) == 3
        assert await _chosen(_hashing("a", "b", "c", "d", num_fallback_replicas=0), "s") == ranks[:1]

    asyncio.run(main())


@pytest.mark.parametrize("given", [{"num_virtual_nodes": 0}, {"num_fallback_replicas": -1}])
def test_numbers_of_the_ring_are_checked(given: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(given))):
        _hashing("a", **given)


def test_replicas_with_a_model_take_turns_of_their_own() -> None:
    async def main() -> None:
        router = RoundRobinRouter(DeploymentID("D", "app"))
        router.update_replicas([*_replicas("a", "b", models=("m",)), *_replicas("c")])
        assert await _chosen(router) == ["a", "b", "c"]
        assert await _chosen(router, model="m") == ["a", "b"]
        assert await _chosen(router, model="m") == ["b", "a"]
        assert await _chosen(router) == ["b", "c", "a"]
        assert await _chosen(router, model="other") == ["c", "a", "b"]  # nobody has it: all take turns

    asyncio.run(main())
