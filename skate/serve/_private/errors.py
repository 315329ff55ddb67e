"""What replicas and handles say to each other by raising; users do not meet it."""

from __future__ import annotations

from skate.serve.exceptions import RayServeException


class RequestRejected(Exception):
    """The replica is full, or about to end: the request goes back to the queue of its handle."""

    def __init__(self, ongoing: int, leaving: bool = False) -> None:
        super().__init__(ongoing, leaving)
        self.ongoing = ongoing
        self.leaving = leaving


class DeploymentGone(RayServeException):
    """The deployment has been deleted, or Serve shut down, while the request waited."""
