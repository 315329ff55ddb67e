"""What routers are made of, by Ray's path."""

from __future__ import annotations

from skate.serve.request_router import FIFOMixin, LocalityMixin, MultiplexMixin, RequestRouter

__all__ = ["FIFOMixin", "LocalityMixin", "MultiplexMixin", "RequestRouter"]
