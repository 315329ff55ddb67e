"""What a trial's process is told about the trial, and what it finds out about itself."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skate.air._checkpoint import Checkpoint

if TYPE_CHECKING:
    from skate.air.storage import Store

__all__ = [
    "TrialFacts",
    "TrialStorage",
    "node_ip",
]


@dataclass
class TrialStorage:
    """Where a trial keeps its checkpoints.

    Args:
        store: The file system.
        path: The trial's directory on it.
        experiment_path: The experiment's directory on it.
        next_checkpoint: The number of the next checkpoint.
    """

    store: Store
    path: str
    experiment_path: str
    next_checkpoint: int = 0
    last_name: str | None = field(default=None, compare=False)

    def persist(self, checkpoint: Checkpoint) -> Checkpoint:
        """Copy a checkpoint into the trial's directory.

        Args:
            checkpoint: One that lies somewhere else.

        Returns:
            The copy.
        """
        name = f"checkpoint_{self.next_checkpoint:06d}"
        target = f"{self.path}/{name}"
        with checkpoint.as_directory() as directory:
            self.store.upload(directory, target)
        self.next_checkpoint += 1
        self.last_name = name
        return Checkpoint(target, None if self.store.is_local else self.store.filesystem)


@dataclass
class TrialFacts:
    """What a trial's process is told.

    Args:
        trial_id: The trial's id.
        trial_name: The trial's name.
        experiment_name: The experiment's name.
        resources: The bundles of resources that the trial holds.
        directory: The local directory that the trial runs in.
    """

    trial_id: str
    trial_name: str
    experiment_name: str
    resources: Any
    directory: str


@functools.cache
def _node_ip_of(pid: int) -> str:
    import skate

    if skate.is_initialized():
        nodes = skate.nodes()
        if nodes:
            return str(nodes[0]["NodeManagerAddress"])
    return "127.0.0.1"


def node_ip() -> str:
    """This host's address, as the session knows it."""
    return _node_ip_of(os.getpid())
