"""Requests for resources, where Ray has them."""

from __future__ import annotations

from skate.air.execution.request import AcquiredResources, ResourceRequest

__all__ = ["AcquiredResources", "ResourceRequest"]
