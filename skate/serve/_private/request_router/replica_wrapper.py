"""Replicas as a router sees them, by Ray's path."""

from __future__ import annotations

from skate.serve._private.routing.selection import ReplicaSelection
from skate.serve.request_router import RunningReplica

__all__ = ["ReplicaSelection", "RunningReplica"]
