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

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from skate.serve._private.common import DeploymentID, ReplicaID, RequestMeta

if TYPE_CHECKING:
    from skate.serve._private.routing.router import Slot

_MOST_TASKS = 50


class DeploymentHandleSource(str, Enum):
    """Where a handle is: what it sends comes from there."""

    UNKNOWN = "UNKNOWN"
    PROXY = "PROXY"
    REPLICA = "REPLICA"


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


@dataclass
class RequestRoutingContext:
    """How far the choice of a replica for a request has come, for mixins that try one rank after the other."""

    multiplexed_start_matching_time: float | None = None
    tried_fewest_multiplexed_models: bool = False
    tried_first_multiplexed_models: bool = False
    tried_same_node: bool = False
    tried_same_az: bool = False
    should_backoff: bool = False


@dataclass
class PendingRequest:
    """A request that waits to be sent."""

    args: list[Any]
    kwargs: dict[str, Any]
    metadata: RequestMeta
    created_at: float = field(default_factory=time.time)
    future: asyncio.Future[Any] = field(default_factory=_future, repr=False)
    """Done with the replica once one has been chosen."""
    routing_context: RequestRoutingContext = field(default_factory=RequestRoutingContext)
    resolved: bool = False
    """Whether answers of other handles among its arguments are there."""

    def reset_future(self) -> None:
        """It waits again."""
        self.future = _future()


class RunningReplica:
    """A replica as a router sees it; what it says changes as time goes on."""

    def __init__(self, replica_info: Slot) -> None:
        self._slot = replica_info
        self._id = ReplicaID(replica_info.info.id, replica_info.deployment)

    def update_replica_info(self, replica_info: Slot) -> None:
        """There is news about it."""
        self._slot = replica_info

    @property
    def replica_id(self) -> ReplicaID:
        """Which it is."""
        return self._id

    @property
    def actor_id(self) -> str:
        """The name of its actor."""
        return self._id.to_full_id_str()

    @property
    def node_id(self) -> str:
        """The machine it runs on."""
        return self._slot.info.node_id

    @property
    def availability_zone(self) -> str | None:
        """None: machines have no zones."""
        return None

    @property
    def multiplexed_model_ids(self) -> set[str]:
        """The models that it has loaded."""
        return set(self._slot.info.model_ids)

    @property
    def max_ongoing_requests(self) -> int:
        """How many requests it runs at once."""
        return self._slot.limit

    @property
    def ongoing(self) -> int:
        """Requests that this process has sent it and that have no answer yet."""
        return self._slot.ongoing

    @property
    def routing_stats(self) -> dict[str, Any]:
        """What its `record_routing_stats` returned last."""
        return dict(self._slot.info.routing_stats)

    @property
    def replica_metadata(self) -> dict[str, Any]:
        """Nothing: it says no more than stands here."""
        return {}

    @property
    def is_cross_language(self) -> bool:
        """False: replicas are Python."""
        return False

    @property
    def backend_http_endpoint(self) -> tuple[str, int] | None:
        """None: replicas have no port; connections are passed to them."""
        return None

    @property
    def stub(self) -> Any:
        """Its actor."""
        return self._slot.handle

    def push_proxy_handle(self, handle: Any) -> None:
        """Accepted for Ray's programs: replicas find the proxy by its name."""

    async def get_queue_len(self, *, deadline_s: float) -> int:
        """How many requests it runs or has in line, as it says itself.

        Args:
            deadline_s: Seconds to wait for its word.

        Raises:
            TimeoutError: it says nothing in time.
        """
        ongoing, _models = await asyncio.wait_for(self._slot.handle.load.remote().as_future(), deadline_s)
        return int(ongoing)

    def __repr__(self) -> str:
        return f"RunningReplica({self._id})"


class RequestRouter:
    """Ranks replicas for each request. Requests go to one of the first rank that has room; of two, to the shorter queue.

    `choose_replicas` runs on a loop of the router's own, one request after the other.

    Attributes:
        curr_replicas: The replicas that run, by their ids.
    """

    max_num_routing_tasks_cap = _MOST_TASKS
    queue_len_response_deadline_s = 0.1
    max_queue_len_response_deadline_s = 1.0

    def __init__(
        self,
        deployment_id: DeploymentID,
        handle_source: DeploymentHandleSource = DeploymentHandleSource.UNKNOWN,
        self_actor_id: str | None = None,
        self_actor_handle: Any = None,
        use_replica_queue_len_cache: bool = False,
        get_curr_time_s: Callable[[], float] | None = None,
        create_replica_wrapper_func: Callable[[Any], RunningReplica] | None = None,
        initial_backoff_s: float = 0.025,
        backoff_multiplier: float = 2,
        max_backoff_s: float = 0.5,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        self._deployment_id = deployment_id
        self._handle_source = handle_source
        self._self_actor_id = self_actor_id
        self._self_actor_handle = self_actor_handle
        self._use_replica_queue_len_cache = use_replica_queue_len_cache
        self._get_curr_time_s = get_curr_time_s if get_curr_time_s is not None else time.time
        self._create_replica_wrapper_func = create_replica_wrapper_func or RunningReplica
        self.update_backoff_params(initial_backoff_s, backoff_multiplier, max_backoff_s)
        self._replicas: dict[ReplicaID, RunningReplica] = {}
        self._pending_count: Callable[[], int] = lambda: 0

    # -- what users write ----------------------------------------

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

    # -- what they may ask ----------------------------------------

    @property
    def curr_replicas(self) -> dict[ReplicaID, RunningReplica]:
        """The replicas that run, by their ids."""
        return self._replicas

    @property
    def app_name(self) -> str:
        """The deployment's application."""
        return self._deployment_id.app_name

    @property
    def num_pending_requests(self) -> int:
        """Requests that wait in this process."""
        return self._pending_count()

    @property
    def curr_num_routing_tasks(self) -> int:
        """How many requests are being routed now."""
        return min(1, self.num_pending_requests)

    @property
    def max_num_routing_tasks(self) -> int:
        """One: requests are routed one after the other, which costs less than they do."""
        return 1

    @property
    def target_num_routing_tasks(self) -> int:
        """How many should be routed now."""
        return min(self.num_pending_requests, self.max_num_routing_tasks)

    @property
    def supports_rejection_protocol(self) -> bool:
        """True: a replica that is full turns a request away, and it is routed again."""
        return True

    @property
    def replica_queue_len_cache(self) -> dict[ReplicaID, int]:
        """Requests of this process that each replica has."""
        return {key: replica.ongoing for key, replica in self._replicas.items()}

    def select_available_replicas(
        self, candidates: list[RunningReplica] | None = None
    ) -> list[RunningReplica]:
        """Those of the candidates that have room, by default of all."""
        chosen = list(self._replicas.values()) if candidates is None else candidates
        return [replica for replica in chosen if replica.ongoing < replica.max_ongoing_requests]

    def create_replica_wrapper(self, replica_info: Any) -> RunningReplica:
        """A replica as this router sees it."""
        return self._create_replica_wrapper_func(replica_info)

    # -- what happens ----------------------------------------

    def update_backoff_params(
        self, initial_backoff_s: float, backoff_multiplier: float, max_backoff_s: float
    ) -> None:
        """Set the pauses between attempts while every replica is full, in seconds."""
        self.initial_backoff_s = initial_backoff_s
        self.backoff_multiplier = backoff_multiplier
        self.max_backoff_s = max_backoff_s

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """There are other replicas now."""
        self._replicas = {replica.replica_id: replica for replica in replicas}

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        """A replica has died: nothing more goes there."""
        self._replicas = {key: replica for key, replica in self._replicas.items() if key != replica_id}

    def on_replica_actor_unavailable(self, replica_id: ReplicaID) -> None:
        """A replica does not answer for now."""

    def on_new_queue_len_info(self, replica_id: ReplicaID, num_ongoing_requests: Any) -> None:
        """A replica has said how many requests it has."""

    def on_send_request(self, replica_id: ReplicaID) -> None:
        """A request is about to be sent there."""

    def decrement_queue_len_cache(self, replica_id: ReplicaID) -> None:
        """A request that was counted there is not."""


class FIFOMixin:
    """Requests are sent in the order in which they were made: what every router does here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class LocalityMixin:
    """Ranks by nearness."""

    def __init__(
        self,
        self_node_id: str | None = None,
        prefer_local_node_routing: bool = False,
        prefer_local_az_routing: bool = False,
        self_availability_zone: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._self_node_id = self_node_id
        self._prefer_local_node_routing = prefer_local_node_routing
        self._prefer_local_az_routing = prefer_local_az_routing
        self._self_availability_zone = self_availability_zone

    def rank_replicas_via_locality(self, replicas: list[RunningReplica]) -> list[list[RunningReplica]]:
        """Those of this machine, then the others."""
        near = [replica for replica in replicas if replica.node_id == self._self_node_id]
        far = [replica for replica in replicas if replica.node_id != self._self_node_id]
        return [near, far, []]

    def apply_locality_routing(self, pending_request: PendingRequest | None = None) -> set[ReplicaID]:
        """The replicas to try next: those of this machine once, if they are preferred, then all."""
        replicas: dict[ReplicaID, RunningReplica] = self.curr_replicas  # type: ignore[attr-defined]
        near = {key for key, replica in replicas.items() if replica.node_id == self._self_node_id}
        if pending_request is None or not self._prefer_local_node_routing or not near:
            return set(replicas)
        context = pending_request.routing_context
        if context.tried_same_node:
            context.should_backoff = True
            return set(replicas)
        context.tried_same_node = True
        context.should_backoff = False
        return near


class MultiplexMixin:
    """Ranks by the models that are loaded."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

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

    def apply_multiplex_routing(self, pending_request: PendingRequest | None = None) -> set[ReplicaID]:
        """The replicas to try next: those that have the model, then those with the fewest models, then all."""
        replicas: dict[ReplicaID, RunningReplica] = self.curr_replicas  # type: ignore[attr-defined]
        model = "" if pending_request is None else pending_request.metadata.multiplexed_model_id
        if pending_request is None or not model:
            return set(replicas)
        context = pending_request.routing_context
        holders, *others = self.rank_replicas_via_multiplex(list(replicas.values()), model)
        if holders and not context.tried_first_multiplexed_models:
            context.tried_first_multiplexed_models = True
            context.should_backoff = False
            return {replica.replica_id for replica in holders}
        if others and not context.tried_fewest_multiplexed_models:
            context.tried_fewest_multiplexed_models = True
            context.should_backoff = False
            return {replica.replica_id for replica in others[0]}
        context.should_backoff = True
        return set(replicas)


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
        elif self._prefer_local_node_routing:
            ranks = self.rank_replicas_via_locality(candidate_replicas)
        return [random.sample(rank, min(2, len(rank))) for rank in ranks if rank]


__all__ = [
    "DeploymentHandleSource",
    "RequestRoutingContext",
    "FIFOMixin",
    "LocalityMixin",
    "MultiplexMixin",
    "PendingRequest",
    "PowerOfTwoChoicesRequestRouter",
    "ReplicaID",
    "RequestRouter",
    "RunningReplica",
]
