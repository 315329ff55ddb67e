"""What a trial or a training run asks to hold: one bundle of resources or several."""

from __future__ import annotations

from skate.air.execution.request import AcquiredResources, ResourceRequest
from skate.air.execution.resources import (
    FixedResourceManager,
    PlacementGroupResourceManager,
    ResourceManager,
)

__all__ = [
    "AcquiredResources",
    "FixedResourceManager",
    "PlacementGroupResourceManager",
    "ResourceManager",
    "ResourceRequest",
]
