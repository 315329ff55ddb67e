"""What a replica is told when it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from skate.serve._private.common import ReplicaID
from skate.serve._private.config import DeploymentConfig
from skate.serve.config import HTTPOptions
from skate.serve.gang import GangContext
from skate.serve.schema import TracingConfig


@dataclass
class ReplicaSpec:
    """All that a replica must know; the parts in bytes are pickles of the user's things."""

    id: ReplicaID
    definition: bytes
    arguments: bytes
    config: DeploymentConfig
    is_ingress: bool = False
    http: HTTPOptions | None = None
    """None: it takes no HTTP connections over."""
    folder: str = ""
    """Where the Unix sockets are through which connections are passed."""
    journal: str = ""
    """Where it notes what it has begun."""
    rank: int = 0
    world_size: int = 1
    version: str = ""
    gang: GangContext | None = None
    tracing: TracingConfig | None = None
    path: tuple[str, ...] = ()
    """Folders in which modules are looked for first."""


@dataclass
class ReplicaFacts:
    """What a replica says of itself once it is ready."""

    pid: int
    node_id: str
    actor_id: str
    socket: str = ""
    docs_path: str | None = None
    is_asgi: bool = False
    records_stats: bool = False
    """Whether the user's class has `record_routing_stats`."""
    records_scaling: bool = False
    """Whether it has `record_autoscaling_stats`."""
    extra: dict[str, Any] = field(default_factory=dict)
