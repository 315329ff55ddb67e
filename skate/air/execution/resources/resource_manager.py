"""What resource managers have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import skate
    from skate.air.execution import request as _request


class ResourceManager(ABC):
    """Gives out resources: they are requested, become ready, are acquired, and freed."""

    @abstractmethod
    def request_resources(self, resource_request: _request.ResourceRequest) -> None:
        """Ask for resources; once for each time that they will be acquired.

        Args:
            resource_request: What is asked for.
        """

    @abstractmethod
    def cancel_resource_request(self, resource_request: _request.ResourceRequest) -> None:
        """Ask no more for resources that have not been acquired.

        Args:
            resource_request: What was asked for.
        """

    @abstractmethod
    def has_resources_ready(self, resource_request: _request.ResourceRequest) -> bool:
        """Whether resources that were asked for can be acquired now.

        Args:
            resource_request: What was asked for.
        """

    @abstractmethod
    def acquire_resources(
        self, resource_request: _request.ResourceRequest
    ) -> _request.AcquiredResources | None:
        """Take resources that were asked for.

        Args:
            resource_request: What was asked for.

        Returns:
            The resources; None if they are not ready.
        """

    @abstractmethod
    def free_resources(self, acquired_resource: _request.AcquiredResources) -> None:
        """Give resources back.

        Args:
            acquired_resource: What `acquire_resources` returned.
        """

    def get_resource_futures(self) -> list[skate.ObjectRef[object]]:
        """Refs that have a value when requests become ready; none if they become so at once."""
        return []

    def update_state(self) -> None:  # noqa: B027 - most know at once
        """Look at which requests have become ready."""

    @abstractmethod
    def clear(self) -> None:
        """Give back everything, and forget all requests."""


__all__ = ["ResourceManager"]
