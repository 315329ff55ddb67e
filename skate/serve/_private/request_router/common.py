"""Requests that wait, by Ray's path."""

from __future__ import annotations

from skate.serve.request_router import PendingRequest, RequestRoutingContext

__all__ = ["PendingRequest", "RequestRoutingContext"]
