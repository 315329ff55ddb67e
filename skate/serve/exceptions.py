"""Errors that users of Serve meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.exceptions import TaskCancelledError

if TYPE_CHECKING:
    import grpc

    from skate.serve._private.common import DeploymentID


class RayServeException(Exception):
    """The base of what Serve raises."""


class BackPressureError(RayServeException):
    """A request was refused, as `max_queued_requests` others wait already.

    Args:
        num_queued_requests: How many wait.
        max_queued_requests: How many may.
        status_code: What HTTP clients get.
        retry_after_s: Seconds after which they may try again.
    """

    def __init__(
        self,
        num_queued_requests: int,
        max_queued_requests: int,
        status_code: int = 503,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(num_queued_requests, max_queued_requests, status_code, retry_after_s)
        self._message = (
            f"Request dropped due to backpressure (num_queued_requests={num_queued_requests}, "
            f"max_queued_requests={max_queued_requests})."
        )
        self._status_code = status_code
        self._retry_after_s = retry_after_s

    @property
    def message(self) -> str:
        """What happened."""
        return self._message

    @property
    def status_code(self) -> int:
        """What HTTP clients get: 503 or 429."""
        return self._status_code

    @property
    def retry_after_s(self) -> float | None:
        """Seconds after which clients may try again."""
        return self._retry_after_s

    def __str__(self) -> str:
        return self._message


class RequestCancelledError(RayServeException, TaskCancelledError):
    """The request was cancelled by its client."""

    def __init__(self, request_id: str | None = None) -> None:
        TaskCancelledError.__init__(self)
        self._request_id = request_id

    def __reduce__(self) -> Any:
        return RequestCancelledError, (self._request_id,)

    def __str__(self) -> str:
        if self._request_id:
            return f"Request {self._request_id} was cancelled."
        return "Request was cancelled."


class DeploymentUnavailableError(RayServeException):
    """The deployment failed to deploy, and takes no requests until it is deployed again."""

    def __init__(self, deployment_id: DeploymentID) -> None:
        super().__init__(deployment_id)
        self._deployment_id = deployment_id

    @property
    def message(self) -> str:
        """What happened."""
        return (
            f"{self._deployment_id} is unavailable because it failed to deploy. serve.status() says why; deploy it "
            "again once that is mended."
        )

    def __str__(self) -> str:
        return self.message


class ReplicaUnavailableError(RayServeException):
    """The replica that a request was meant for is gone."""

    def __init__(self, replica_id: str) -> None:
        super().__init__(replica_id)
        self._replica_id = replica_id

    @property
    def message(self) -> str:
        """What happened."""
        return f"Replica {self._replica_id} is no longer available. Choose another one."

    def __str__(self) -> str:
        return self.message


class gRPCStatusError(RayServeException):  # noqa: N801
    """What a gRPC method raised, with the status that it had set.

    Args:
        original_exception: What the method raised.
        code: The status for the client.
        details: The words for the client.
    """

    def __init__(
        self,
        original_exception: BaseException,
        code: grpc.StatusCode | None = None,
        details: str | None = None,
    ) -> None:
        super().__init__(original_exception, code, details)
        self._original = original_exception
        self._code = code
        self._details = details

    @property
    def original_exception(self) -> BaseException:
        """What the method raised."""
        return self._original

    @property
    def grpc_code(self) -> grpc.StatusCode | None:
        """The status for the client."""
        return self._code

    @property
    def grpc_details(self) -> str | None:
        """The words for the client."""
        return self._details

    def __str__(self) -> str:
        return str(self._original)


__all__ = [
    "BackPressureError",
    "DeploymentUnavailableError",
    "RayServeException",
    "ReplicaUnavailableError",
    "RequestCancelledError",
    "gRPCStatusError",
]
