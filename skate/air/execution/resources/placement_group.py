"""Resources that are reserved in placement groups."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skate.air.execution import request as _request
from skate.air.execution.resources import resource_manager as _base

if TYPE_CHECKING:
    import skate
    from skate.util.placement_group import PlacementGroup


@dataclass
class PlacementGroupAcquiredResources(_request.AcquiredResources):
    """Resources that are reserved.

    Args:
        resource_request: What was asked for.
        placement_group: The group that holds it.
    """

    placement_group: PlacementGroup

    def _options(self, index: int) -> dict[str, Any]:
        from skate.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        strategy = PlacementGroupSchedulingStrategy(
            placement_group=self.placement_group,
            placement_group_bundle_index=index,
            placement_group_capture_child_tasks=True,
        )
        bundle = self.resource_request.bundles[index] if index >= 0 else {}
        return {"scheduling_strategy": strategy, **_request.options_of(bundle)}

    def _head_options(self) -> dict[str, Any]:
        return self._options(-1)


class PlacementGroupResourceManager(_base.ResourceManager):
    """Reserves resources in a placement group for each request.

    Args:
        update_interval_s: Seconds between two looks at which groups are ready.
    """

    def __init__(self, update_interval_s: float = 0.1) -> None:
        self._interval = update_interval_s
        self._looked = float("-inf")
        self._waiting: list[tuple[_request.ResourceRequest, Any, skate.ObjectRef[Any]]] = []
        self._ready: list[tuple[_request.ResourceRequest, Any]] = []
        self._held: list[Any] = []

    def get_resource_futures(self) -> list[skate.ObjectRef[object]]:
        """Refs that have a value when groups are ready."""
        return [ref for _, _, ref in self._waiting]

    def update_state(self) -> None:
        """Look at which groups are ready."""
        import skate

        if not self._waiting:
            return
        refs = self.get_resource_futures()
        done = set(skate.wait(refs, num_returns=len(refs), timeout=0)[0])
        self._ready += [(request, group) for request, group, ref in self._waiting if ref in done]
        self._waiting = [each for each in self._waiting if each[2] not in done]
        self._looked = time.monotonic()

    def request_resources(self, resource_request: _request.ResourceRequest) -> None:
        """Make a group."""
        group = resource_request.to_placement_group()
        self._waiting.append((resource_request, group, group.ready()))

    def cancel_resource_request(self, resource_request: _request.ResourceRequest) -> None:
        """Remove a group that has not been acquired; of several one that is not ready yet, if there is one."""
        for place, each in enumerate(self._waiting):
            if each[0] == resource_request:
                _remove(self._waiting.pop(place)[1])
                return
        _remove(self._take(resource_request))

    def _take(self, resource_request: _request.ResourceRequest) -> Any:
        for place, (request, _) in enumerate(self._ready):
            if request == resource_request:
                return self._ready.pop(place)[1]
        raise ValueError(f"{resource_request} has not been requested.")

    def has_resources_ready(self, resource_request: _request.ResourceRequest) -> bool:
        """Whether a group is ready."""
        if any(request == resource_request for request, _ in self._ready):
            return True
        if time.monotonic() - self._looked >= self._interval:
            self.update_state()
        return any(request == resource_request for request, _ in self._ready)

    def acquire_resources(
        self, resource_request: _request.ResourceRequest
    ) -> PlacementGroupAcquiredResources | None:
        """Take a group that is ready."""
        if not self.has_resources_ready(resource_request):
            return None
        group = self._take(resource_request)
        self._held.append(group)
        return PlacementGroupAcquiredResources(resource_request, group)

    def free_resources(self, acquired_resource: _request.AcquiredResources) -> None:
        """Remove a group."""
        assert isinstance(acquired_resource, PlacementGroupAcquiredResources)
        self._held.remove(acquired_resource.placement_group)
        _remove(acquired_resource.placement_group)

    def clear(self) -> None:
        """Remove all groups."""
        groups = [group for _, group, _ in self._waiting] + [group for _, group in self._ready] + self._held
        for group in groups:
            _remove(group)
        self._waiting.clear()
        self._ready.clear()
        self._held.clear()


def _remove(group: Any) -> None:
    from skate.util import remove_placement_group

    remove_placement_group(group)


__all__ = ["PlacementGroupAcquiredResources", "PlacementGroupResourceManager"]
