"""What a replica knows of its gang: the replicas that start and end together with it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["GangContext"]


@dataclass
class GangContext:
    """A replica's gang, of `gang_scheduling_config`: in `serve.get_replica_context().gang_context`."""

    gang_id: str
    rank: int
    """The replica's number in the gang."""
    world_size: int
    member_replica_ids: list[str] = field(default_factory=list)
    """The unique ids of all its replicas, by rank."""
    pg_name: str = ""
    """The placement group that it runs in."""
