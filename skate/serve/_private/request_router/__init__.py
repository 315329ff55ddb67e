"""Request routers by Ray's internal paths; what is public of them is in `skate.serve.request_router`."""

from __future__ import annotations

from skate.serve._private.request_router.common import PendingRequest
from skate.serve._private.request_router.pow_2_router import PowerOfTwoChoicesRequestRouter
from skate.serve._private.request_router.replica_wrapper import RunningReplica
from skate.serve._private.request_router.request_router import (
    FIFOMixin,
    LocalityMixin,
    MultiplexMixin,
    RequestRouter,
)

__all__ = [
    "FIFOMixin",
    "LocalityMixin",
    "MultiplexMixin",
    "PendingRequest",
    "PowerOfTwoChoicesRequestRouter",
    "RequestRouter",
    "RunningReplica",
]
