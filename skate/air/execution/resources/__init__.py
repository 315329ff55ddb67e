"""Resources that are asked for, held and given back, by the bundle."""

from __future__ import annotations

from skate.air.execution.request import AcquiredResources, ResourceRequest
from skate.air.execution.resources.fixed import FixedResourceManager
from skate.air.execution.resources.placement_group import PlacementGroupResourceManager
from skate.air.execution.resources.resource_manager import ResourceManager

__all__ = [
    "AcquiredResources",
    "FixedResourceManager",
    "PlacementGroupResourceManager",
    "ResourceManager",
    "ResourceRequest",
]
