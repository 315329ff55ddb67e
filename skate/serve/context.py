"""What code in a replica can learn about itself and about the request that it answers."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skate.serve._private.common import DeploymentID, ReplicaID
from skate.serve.exceptions import RayServeException
from skate.serve.schema import ReplicaRank

if TYPE_CHECKING:
    from skate.serve._private.config import DeploymentConfig

__all__ = ["DeploymentActorContext", "ReplicaContext", "RequestContext", "get_replica_context"]


@dataclass
class ReplicaContext:
    """A replica, for the code in it: what `serve.get_replica_context()` returns."""

    replica_id: ReplicaID
    servable_object: Any
    _deployment_config: DeploymentConfig
    rank: ReplicaRank
    world_size: int
    _handle_registration_callback: Callable[[DeploymentID], None] | None = None
    gang_context: Any = None
    code_version: str | None = None

    @property
    def app_name(self) -> str:
        """The application's name."""
        return self.replica_id.deployment_id.app_name

    @property
    def deployment(self) -> str:
        """The deployment's name."""
        return self.replica_id.deployment_id.name

    @property
    def replica_tag(self) -> str:
        """The part of the replica's name that no other has."""
        return self.replica_id.unique_id


@dataclass
class DeploymentActorContext:
    """An actor that replicas share, for the code in it: what `serve.get_deployment_actor_context()` returns."""

    deployment_id: DeploymentID
    actor_name: str
    code_version: str | None = None

    @property
    def app_name(self) -> str:
        """The application's name."""
        return self.deployment_id.app_name

    @property
    def deployment(self) -> str:
        """The deployment's name."""
        return self.deployment_id.name


def _deployment_actor_name(deployment: DeploymentID, version: str | None, name: str) -> str:
    """The name under which a shared actor is found."""
    return f"SERVE_DEPLOYMENT_ACTOR::{deployment.app_name}#{deployment.name}#{version}#{name}"


@dataclass
class RequestContext:
    """The request that is being answered."""

    route: str = ""
    request_id: str = ""
    _internal_request_id: str = ""
    app_name: str = ""
    multiplexed_model_id: str = ""
    session_id: str = ""
    grpc_context: Any = None
    is_http_request: bool = False
    _client: str = ""
    _http_method: str = ""
    cancel_on_parent_request_cancel: bool = False
    tags: dict[str, str] = field(default_factory=dict)


_NONE = RequestContext()
_serve_request_context: contextvars.ContextVar[RequestContext] = contextvars.ContextVar(
    "skate_serve_request", default=_NONE
)
_replica_context: ReplicaContext | None = None
_deployment_actor_context: DeploymentActorContext | None = None


def _get_serve_request_context() -> RequestContext:
    return _serve_request_context.get()


def _get_global_client(raise_if_no_controller_running: bool = True) -> Any:
    from skate.serve._private.global_client import get

    return get(raise_if_no_controller_running)


def _get_internal_replica_context() -> ReplicaContext | None:
    return _replica_context


def _set_internal_replica_context(context: ReplicaContext | None) -> None:
    global _replica_context
    _replica_context = context


def _get_internal_deployment_actor_context() -> DeploymentActorContext | None:
    return _deployment_actor_context


def _set_internal_deployment_actor_context(context: DeploymentActorContext | None) -> None:
    global _deployment_actor_context
    _deployment_actor_context = context


def get_replica_context() -> ReplicaContext:
    """The replica that the caller runs in. See `serve.get_replica_context`."""
    if _replica_context is None:
        raise RayServeException(
            "`serve.get_replica_context()` may only be called from within a deployment: this code runs in no replica."
        )
    return _replica_context
