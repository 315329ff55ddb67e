"""Replicas take turns."""

from __future__ import annotations

from collections import Counter
from typing import Any

from skate.serve.request_router import (
    FIFOMixin,
    MultiplexMixin,
    PendingRequest,
    RequestRouter,
    RunningReplica,
)

__all__ = ["RoundRobinRouter"]


class RoundRobinRouter(FIFOMixin, MultiplexMixin, RequestRouter):
    """Sends requests to one replica after the other; one that is full is passed over.

    Requests for a model go round the replicas that have it loaded, in a turn of their own.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turns: Counter[str] = Counter()

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """The replica whose turn it is, and those after it, each a rank of its own."""
        model = "" if pending_request is None else pending_request.metadata.multiplexed_model_id
        holders = [replica for replica in candidate_replicas if model in replica.multiplexed_model_ids]
        turn = model if model and holders else ""
        ordered = sorted(
            holders if turn else candidate_replicas, key=lambda replica: replica.replica_id.unique_id
        )
        if not ordered:
            return []
        first = self._turns[turn] % len(ordered)
        self._turns[turn] += 1
        return [[replica] for replica in ordered[first:] + ordered[:first]]
