"""A replica that has been chosen for a request, and keeps a place for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skate.serve._private.routing.request import Request


@dataclass
class ReplicaSelection:
    """What `DeploymentHandle.choose_replica` gives, for `DeploymentHandle.dispatch`.

    Attributes:
        replica_id: The unique part of the replica's name.
        node_ip: The address of its machine.
        port: None: replicas have no port of their own.
        node_id: Its machine.
        availability_zone: None: it is not known.
        replica_metadata: What the deployment says of the replica: nothing.
    """

    replica_id: str
    node_ip: str
    port: int | None
    node_id: str
    availability_zone: str | None
    replica_metadata: dict[str, Any]
    _place: Request
    """What keeps the place."""
    _dispatched: bool = field(default=False, init=False)

    @property
    def address(self) -> str:
        """Where the replica is: its machine's address."""
        return f"{self.node_ip}:{self.port}" if self.port else self.node_ip
