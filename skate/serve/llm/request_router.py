"""Requests that begin alike go to the same replica, whose engine has computed that beginning already."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from skate.serve._private.common import ReplicaID
from skate.serve.request_router import (
    FIFOMixin,
    LocalityMixin,
    MultiplexMixin,
    PendingRequest,
    RequestRouter,
    RunningReplica,
)

__all__ = ["PrefixCacheAffinityRouter"]

_CHUNK = 32


class PrefixCacheAffinityRouter(LocalityMixin, MultiplexMixin, FIFOMixin, RequestRouter):
    """Prefers the replica that has had the longest beginning of a request's text, unless it is much busier than another.

    Its `request_router_kwargs`:

    - `imbalanced_threshold`: by how many requests the busiest replica may lead the idlest (default 10); beyond, the shorter queue wins.
    - `match_rate_threshold`: which part of the text must be known for it to count (default 0.1).
    - `max_prefixes`: how many beginnings are remembered (default 100,000).
    """

    def initialize_state(
        self,
        imbalanced_threshold: float = 10,
        match_rate_threshold: float = 0.1,
        max_prefixes: int = 100_000,
        **_kwargs: Any,
    ) -> None:
        """Take `request_router_kwargs`."""
        self._imbalanced = imbalanced_threshold
        self._match_rate = match_rate_threshold
        self._most = max_prefixes
        self._homes: OrderedDict[int, set[str]] = OrderedDict()

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Those that know the longest beginning, then all."""
        loads = [replica.ongoing for replica in candidate_replicas]
        text = "" if pending_request is None else _text(pending_request.args)
        if not text or max(loads) - min(loads) > self._imbalanced:
            return [candidate_replicas]
        alive = {replica.replica_id.unique_id: replica for replica in candidate_replicas}
        best: set[str] = set()
        for length, key in _prefixes(text):
            homes = self._homes.get(key, set()) & alive.keys()
            if not homes:
                break
            if length / len(text) >= self._match_rate:
                best = homes
        return [[alive[name] for name in best], candidate_replicas]

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any) -> None:
        """The replica will know the request's beginnings."""
        for _length, key in _prefixes(_text(pending_request.args)):
            self._homes.setdefault(key, set()).add(replica_id.unique_id)
            self._homes.move_to_end(key)
        while len(self._homes) > self._most:
            self._homes.popitem(last=False)

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        """What it knew is gone."""
        super().on_replica_actor_died(replica_id)
        for homes in self._homes.values():
            homes.discard(replica_id.unique_id)


def _prefixes(text: str) -> list[tuple[int, int]]:
    """Beginnings of a text by their length, each with a key."""
    found, key = [], 0
    for start in range(0, len(text), _CHUNK):
        piece = text[start : start + _CHUNK]
        key = hash((key, piece))
        found.append((start + len(piece), key))
    return found


def _text(args: list[Any]) -> str:
    """The text of a request: its prompt, or its conversation."""
    for given in args:
        prompt = getattr(given, "prompt", None)
        if isinstance(prompt, str):
            return prompt
        messages = getattr(given, "messages", None)
        if messages:
            return "\n".join(str(message.get("content", "")) for message in messages)
        if isinstance(given, str):
            return given
    return ""
