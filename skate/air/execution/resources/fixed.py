"""Resources that are counted, not reserved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from skate.air.execution import request as _request
from skate.air.execution.resources import resource_manager as _base


@dataclass
class FixedAcquiredResources(_request.AcquiredResources):
    """Resources that have been counted off.

    Args:
        resource_request: What was asked for.
        bundles: What is held.
    """

    bundles: list[dict[str, float]]

    def _options(self, index: int) -> dict[str, Any]:
        return _request.options_of(self.bundles[index])


class FixedResourceManager(_base.ResourceManager):
    """Counts a fixed amount of resources.

    Args:
        total_resources: How much there is; default: the session's.

    Example:
        >>> manager = FixedResourceManager({"CPU": 2})
        >>> request = _request.ResourceRequest([{"CPU": 2}])
        >>> manager.request_resources(request)
        >>> held = manager.acquire_resources(request)
        >>> manager.request_resources(request)
        >>> manager.has_resources_ready(request)
        False
    """

    def __init__(self, total_resources: dict[str, float] | None = None) -> None:
        if total_resources is None:
            import skate

            if not skate.is_initialized():
                skate.init()
            total_resources = skate.cluster_resources()
        self._total = dict(total_resources)
        self._requested: list[_request.ResourceRequest] = []
        self._held: list[FixedAcquiredResources] = []

    def _free(self) -> dict[str, float]:
        free = dict(self._total)
        for held in self._held:
            for name, amount in held.resource_request.required_resources.items():
                free[name] = free.get(name, 0.0) - amount
        return free

    def request_resources(self, resource_request: _request.ResourceRequest) -> None:
        """Ask for resources."""
        self._requested.append(resource_request)

    def cancel_resource_request(self, resource_request: _request.ResourceRequest) -> None:
        """Ask no more for resources."""
        self._requested.remove(resource_request)

    def has_resources_ready(self, resource_request: _request.ResourceRequest) -> bool:
        """Whether there is as much free."""
        if resource_request not in self._requested:
            return False
        free = self._free()
        return all(
            round(free.get(name, 0.0) - amount, 9) >= 0
            for name, amount in resource_request.required_resources.items()
        )

    def acquire_resources(self, resource_request: _request.ResourceRequest) -> FixedAcquiredResources | None:
        """Count resources off."""
        if not self.has_resources_ready(resource_request):
            return None
        self._requested.remove(resource_request)
        held = FixedAcquiredResources(resource_request, resource_request.bundles)
        self._held.append(held)
        return held

    def free_resources(self, acquired_resource: _request.AcquiredResources) -> None:
        """Count resources back."""
        self._held = [held for held in self._held if held is not acquired_resource]

    def clear(self) -> None:
        """Count everything back."""
        self._requested.clear()
        self._held.clear()


__all__ = ["FixedAcquiredResources", "FixedResourceManager"]
