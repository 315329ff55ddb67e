"""The messages and services that Serve itself knows over gRPC."""

from __future__ import annotations

__all__: list[str] = []
