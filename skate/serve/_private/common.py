"""Identities and states: what the parts of Serve say to each other."""

from __future__ import annotations

import marshal
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from skate.serve._private.constants import SERVE_DEFAULT_APP_NAME

REPLICA_ID_FULL_ID_STR_PREFIX = "SERVE_REPLICA::"


@dataclass(frozen=True)
class DeploymentID:
    """A deployment of an application."""

    name: str
    app_name: str = SERVE_DEFAULT_APP_NAME

    def to_replica_actor_class_name(self) -> str:
        """What replicas' actors are called."""
        return f"ServeReplica:{self.app_name}:{self.name}" if self.app_name else f"ServeReplica:{self.name}"

    def __str__(self) -> str:
        return f"Deployment(name='{self.name}', app='{self.app_name}')"

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class ReplicaID:
    """One replica of a deployment."""

    unique_id: str
    deployment_id: DeploymentID

    def to_full_id_str(self) -> str:
        """The name of the replica's actor."""
        name = f"{self.deployment_id.name}#{self.unique_id}"
        if self.deployment_id.app_name:
            name = f"{self.deployment_id.app_name}#{name}"
        return REPLICA_ID_FULL_ID_STR_PREFIX + name

    @staticmethod
    def is_full_id_str(text: str) -> bool:
        """Whether `text` is the name of a replica's actor."""
        return text.startswith(REPLICA_ID_FULL_ID_STR_PREFIX)

    @classmethod
    def from_full_id_str(cls, text: str) -> ReplicaID:
        """The replica whose actor has that name.

        Raises:
            ValueError: it is no such name.
        """
        parts = text.removeprefix(REPLICA_ID_FULL_ID_STR_PREFIX).split("#")
        if not cls.is_full_id_str(text) or len(parts) not in (2, 3):
            raise ValueError(f"{text!r} is not the name of a replica: SERVE_REPLICA::app#deployment#id is.")
        app = parts[0] if len(parts) == 3 else ""
        return cls(parts[-1], DeploymentID(parts[-2], app))

    def __str__(self) -> str:
        deployment = self.deployment_id
        return f"Replica(id='{self.unique_id}', deployment='{deployment.name}', app='{deployment.app_name}')"

    def __repr__(self) -> str:
        return str(self)


class _Numbered(str, Enum):
    """States that metrics show as numbers, in the order of their definition; 0 is none of them."""

    def to_numeric(self) -> int:
        """The state's number."""
        return list(type(self)).index(self) + 1


class DeploymentStatus(_Numbered):
    """How a deployment is."""

    UPDATING = "UPDATING"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DEPLOY_FAILED = "DEPLOY_FAILED"
    UPSCALING = "UPSCALING"
    DOWNSCALING = "DOWNSCALING"


class DeploymentStatusTrigger(str, Enum):
    """What made a deployment's status what it is."""

    UNSPECIFIED = "UNSPECIFIED"
    CONFIG_UPDATE_STARTED = "CONFIG_UPDATE_STARTED"
    CONFIG_UPDATE_COMPLETED = "CONFIG_UPDATE_COMPLETED"
    UPSCALE_COMPLETED = "UPSCALE_COMPLETED"
    DOWNSCALE_COMPLETED = "DOWNSCALE_COMPLETED"
    AUTOSCALING = "AUTOSCALING"
    REPLICA_STARTUP_FAILED = "REPLICA_STARTUP_FAILED"
    DEPLOYMENT_ACTOR_FAILED = "DEPLOYMENT_ACTOR_FAILED"
    HEALTH_CHECK_FAILED = "HEALTH_CHECK_FAILED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    DELETING = "DELETING"


class ReplicaState(str, Enum):
    """Where a replica is in its life."""

    STARTING = "STARTING"
    UPDATING = "UPDATING"
    RECOVERING = "RECOVERING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    PENDING_MIGRATION = "PENDING_MIGRATION"


class ApplicationStatus(_Numbered):
    """How an application is."""

    NOT_STARTED = "NOT_STARTED"
    DEPLOYING = "DEPLOYING"
    DEPLOY_FAILED = "DEPLOY_FAILED"
    RUNNING = "RUNNING"
    UNHEALTHY = "UNHEALTHY"
    DELETING = "DELETING"


@dataclass(frozen=True)
class ApplicationStatusInfo:
    """How an application is, and since when."""

    status: ApplicationStatus
    message: str = ""
    deployment_timestamp: float = 0.0


@dataclass(frozen=True)
class DeploymentStatusInfo:
    """How a deployment is."""

    name: str
    status: DeploymentStatus
    status_trigger: DeploymentStatusTrigger
    message: str = ""


@dataclass(frozen=True)
class StatusOverview:
    """How an application and its deployments are."""

    app_status: ApplicationStatusInfo
    name: str = ""
    deployment_statuses: list[DeploymentStatusInfo] = field(default_factory=list)

    def get_deployment_status(self, name: str) -> DeploymentStatusInfo | None:
        """How one of its deployments is; None if there is none of that name."""
        return next((found for found in self.deployment_statuses if found.name == name), None)


class RequestProtocol(str, Enum):
    """How a request came."""

    UNDEFINED = "UNDEFINED"
    HTTP = "HTTP"
    GRPC = "gRPC"


class TimeStampedValue(NamedTuple):
    """A figure, and when it was taken, in seconds."""

    timestamp: float
    value: float


class RequestMeta(NamedTuple):
    """What travels with a request besides its arguments. It is sent as bytes: a call with simple arguments then needs no pickling."""

    method: str = "__call__"
    request_id: str = ""
    multiplexed_model_id: str = ""
    route: str = ""
    app_name: str = ""
    session_id: str = ""
    must_accept: bool = False
    """Whether a replica that is full takes the request all the same, as there is nobody to send it elsewhere."""
    trace: dict[str, str] | None = None
    """The trace that the request belongs to, by W3C's Trace Context."""
    router: str = ""
    """Which router sent it; empty: nobody asks later whether it was begun."""
    number: int = 0
    """Its number among those that the router has sent to this replica."""

    def packed(self, router: str = "", number: int = 0) -> bytes:
        """It, as a router sends it."""
        return marshal.dumps((*self[:-2], router, number))

    @classmethod
    def unpacked(cls, sent: bytes) -> RequestMeta:
        """What `packed` has packed."""
        return cls(*marshal.loads(sent))

    @property
    def call_method(self) -> str:
        """The method, by Ray's name."""
        return self.method

    @property
    def internal_request_id(self) -> str:
        """The request's id, by another of Ray's names."""
        return self.request_id


class RunningReplica(NamedTuple):
    """A replica as those who send it requests know it."""

    id: str
    """The unique part of its name."""
    actor: str
    """The name of its actor."""
    max_ongoing_requests: int
    model_ids: tuple[str, ...] = ()
    socket: str = ""
    """Where it takes connections over; empty if it takes none."""
    node_id: str = ""
    routing_stats: dict[str, Any] = {}  # noqa: RUF012 -- a value, which nobody changes
    """What its `record_routing_stats` returned last."""
    journal: str = ""
    """The folder in which it notes what it has begun."""


class DeploymentTargets(NamedTuple):
    """All that a router must know of a deployment. The controller sends a new one at every change."""

    replicas: tuple[RunningReplica, ...] = ()
    max_queued_requests: int = -1
    available: bool = True
    """False once it has failed to deploy."""
    backpressure: tuple[int, float | None] = (503, None)
    """The HTTP status of a refusal, and the seconds after which to try again."""
    router: bytes = b""
    """The pickle of a RequestRouterConfig that is not the default one."""
    deleted: bool = False


class AppRoute(NamedTuple):
    """Where an application is reached over HTTP."""

    prefix: str
    app_name: str
    ingress: str
    is_asgi: bool
    request_timeout_s: float | None = None
