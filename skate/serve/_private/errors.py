"""What replicas and handles say to each other by raising; users do not meet it."""

from __future__ import annotations

from skate.serve._private.common import DeploymentID
from skate.serve.exceptions import DeploymentUnavailableError


class RequestRejected(Exception):
    """The replica is full, or about to end: the request goes back to the queue of its handle."""

    def __init__(self, ongoing: int, leaving: bool = False) -> None:
        super().__init__(ongoing, leaving)
        self.ongoing = ongoing
        self.leaving = leaving


class DeploymentGone(DeploymentUnavailableError):
    """The deployment has been deleted, or Serve shut down, before the request was made."""

    def __init__(self, deployment_id: DeploymentID, why: str) -> None:
        super().__init__(deployment_id)
        self.args = (deployment_id, why)
        self._why = why

    @property
    def message(self) -> str:
        """What happened."""
        return f"{self._why} The request was not made."
