"""A session's requests go to the same replica, and replicas that come or go move few sessions."""

from __future__ import annotations

import bisect
import hashlib
from typing import Any

from skate.serve._private.common import ReplicaID
from skate.serve.request_router import FIFOMixin, PendingRequest, RequestRouter, RunningReplica

__all__ = ["ConsistentHashRouter"]


class ConsistentHashRouter(FIFOMixin, RequestRouter):
    """Chooses by consistent hashing of the request's session (the header `x-session-id`), or of its id if it has none.

    Every process builds the same ring from the same replicas, so all agree where a session belongs.

    Its `request_router_kwargs`:

    - `num_virtual_nodes`: points of each replica on the ring (default 100); more spread sessions more evenly.
    - `num_fallback_replicas`: how many of the next replicas on the ring are tried while the first is full (default 2); with 0 a request
      waits for the replica of its session.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._points = 100
        self._fallbacks = 2
        self._ring: list[tuple[int, ReplicaID]] = []

    def initialize_state(
        self, num_virtual_nodes: int = 100, num_fallback_replicas: int = 2, **kwargs: Any
    ) -> None:
        """Take `request_router_kwargs`.

        Raises:
            ValueError: a number is too small.
            TypeError: there is an argument that it does not know.
        """
        if kwargs:
            raise TypeError(
                f"ConsistentHashRouter does not know {', '.join(sorted(kwargs))}: it takes num_virtual_nodes and num_fallback_replicas."
            )
        if num_virtual_nodes < 1:
            raise ValueError(f"num_virtual_nodes must be >= 1, got {num_virtual_nodes}.")
        if num_fallback_replicas < 0:
            raise ValueError(f"num_fallback_replicas must be >= 0, got {num_fallback_replicas}.")
        self._points = num_virtual_nodes
        self._fallbacks = num_fallback_replicas

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """See `RequestRouter`."""
        super().update_replicas(replicas)
        self._ring = sorted(
            (
                (_hash(f"{id_.unique_id}:{point}"), id_)
                for id_ in self.curr_replicas
                for point in range(self._points)
            ),
            key=lambda entry: (entry[0], entry[1].unique_id),
        )

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """The replica to which the session belongs, then those after it on the ring, each a rank of its own."""
        if pending_request is None:
            return []
        metadata = pending_request.metadata
        by_id = {replica.replica_id: replica for replica in candidate_replicas}
        found: dict[ReplicaID, RunningReplica] = {}
        start = bisect.bisect_left(
            self._ring, _hash(metadata.session_id or metadata.request_id), key=lambda e: e[0]
        )
        for _, id_ in (*self._ring[start:], *self._ring[:start]):
            if id_ in by_id:
                found.setdefault(id_, by_id[id_])
            if len(found) > self._fallbacks:
                break
        return [[replica] for replica in found.values()]


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")
