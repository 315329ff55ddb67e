"""Routers of one's own: a class that ranks replicas for each request, named in `request_router_config`.

Example:
    ```python
    class FirstRouter(RequestRouter):
        async def choose_replicas(self, candidate_replicas, pending_request=None):
            return [sorted(candidate_replicas, key=lambda replica: replica.replica_id.unique_id)]


    @serve.deployment(request_router_config=RequestRouterConfig(request_router_class=FirstRouter))
    class Model: ...
    ```
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Any

from skate.serve._private.common import DeploymentID, ReplicaID, RequestMeta


@dataclass
class PendingRequest:
    """A request that waits to be sent."""

    args: list[Any]
    kwargs: dict[str, Any]
    metadata: RequestMeta
    created_at: float = field(default_factory=time.time)


@dataclass
class RunningReplica:
    """A replica as a router sees it."""

    replica_id: ReplicaID
    max_ongoing_requests: int
    ongoing: int
    """Requests that this process has sent it and that have no answer yet."""
    multiplexed_model_ids: frozenset[str] = frozenset()
    node_id: str = ""

    @property
    def actor_id(self) -> str:
        """The name of its actor."""
        return self.replica_id.to_full_id_str()


class RequestRouter:
    """Ranks replicas for each request. Requests go to one of the first rank that has room; of two, to the shorter queue.

    Attributes:
        curr_replicas: The replicas that run, by their ids.
    """

    def __init__(self, deployment_id: DeploymentID, self_node_id: str = "") -> None:
        self._deployment_id = deployment_id
        self._self_node_id = self_node_id
        self.curr_replicas: dict[ReplicaID, RunningReplica] = {}

    def initialize_state(self, **kwargs: Any) -> None:
        """Take `request_router_kwargs`; called once."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Ranks of replicas: those to try first, those to try when none of the first has room, and so on."""
        raise NotImplementedError(f"{type(self).__name__} must define choose_replicas().")

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any) -> None:
        """A request has been sent; `result` is the ref or generator of its answer."""

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """Its answer has come."""

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """There are other replicas now."""
        self.curr_replicas = {replica.replica_id: replica for replica in replicas}

    def select_available_replicas(
        self, candidates: list[RunningReplica] | None = None
    ) -> list[RunningReplica]:
        """Those of the candidates that have room, by default of all."""
        chosen = list(self.curr_replicas.values()) if candidates is None else candidates
        return [replica for replica in chosen if replica.ongoing < replica.max_ongoing_requests]


class FIFOMixin:
    """Requests are sent in the order in which they were made: what every router does here."""


class LocalityMixin:
    """Ranks by nearness."""

    _self_node_id: str

    def rank_replicas_via_locality(self, replicas: list[RunningReplica]) -> list[list[RunningReplica]]:
        """Those of this machine, then the others."""
        near = [replica for replica in replicas if replica.node_id == self._self_node_id]
        far = [replica for replica in replicas if replica.node_id != self._self_node_id]
        return [near, far]


class MultiplexMixin:
    """Ranks by the models that are loaded."""

    def rank_replicas_via_multiplex(
        self, replicas: list[RunningReplica], multiplexed_model_id: str
    ) -> list[list[RunningReplica]]:
        """Those that have the model, then by how few others they have."""
        holders = [replica for replica in replicas if multiplexed_model_id in replica.multiplexed_model_ids]
        others: dict[int, list[RunningReplica]] = {}
        for replica in replicas:
            if multiplexed_model_id not in replica.multiplexed_model_ids:
                others.setdefault(len(replica.multiplexed_model_ids), []).append(replica)
        return [holders, *(others[count] for count in sorted(others))]


class PowerOfTwoChoicesRequestRouter(FIFOMixin, LocalityMixin, MultiplexMixin, RequestRouter):
    """The default: two replicas at random, where the model is loaded if the request is for one."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Two at random, of the best rank."""
        ranks = [candidate_replicas]
        if pending_request is not None and pending_request.metadata.multiplexed_model_id:
            ranks = self.rank_replicas_via_multiplex(
                candidate_replicas, pending_request.metadata.multiplexed_model_id
            )
        return [random.sample(rank, min(2, len(rank))) for rank in ranks if rank]


class RoundRobinRouter(RequestRouter):
    """One replica after the other."""

    _turn = 0

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """The next one, then those after it."""
        self._turn += 1
        count = len(candidate_replicas)
        return [[candidate_replicas[(self._turn + offset) % count]] for offset in range(count)]


__all__ = [
    "FIFOMixin",
    "LocalityMixin",
    "MultiplexMixin",
    "PendingRequest",
    "PowerOfTwoChoicesRequestRouter",
    "ReplicaID",
    "RequestRouter",
    "RoundRobinRouter",
    "RunningReplica",
]
