"""What a trial's process is told about the trial, and what it finds out about itself."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import uuid
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

    def new_directory(self) -> str:
        """A directory to save into, where the trial is kept if that is the local disk: then it need not be copied."""
        if not self.store.is_local:
            return tempfile.mkdtemp(prefix="skate-checkpoint-")
        directory = f"{self.path}/.saving-{uuid.uuid4().hex[:8]}"
        os.makedirs(directory)
        return directory

    def take(self, directory: str) -> Checkpoint:
        """Make a directory that `new_directory` returned the next checkpoint.

        Args:
            directory: The directory, which is gone afterwards.

        Returns:
            The checkpoint.
        """
        if not self.store.is_local:
            try:
                return self.persist(Checkpoint(directory))
            finally:
                shutil.rmtree(directory, ignore_errors=True)
        target = self._next()
        self.store.delete(target)  # what a trial left that was killed before anybody knew of it
        os.rename(directory, target)
        return Checkpoint(target)

    def next_name(self) -> str:
        """Give the next checkpoint a name."""
        self.last_name = f"checkpoint_{self.next_checkpoint:06d}"
        self.next_checkpoint += 1
        return self.last_name

    def _next(self) -> str:
        return f"{self.path}/{self.next_name()}"

    def persist(self, checkpoint: Checkpoint) -> Checkpoint:
        """Copy a checkpoint into the trial's directory.

        Args:
            checkpoint: One that lies somewhere else.

        Returns:
            The copy.
        """
        target = self._next()
        with checkpoint.as_directory() as directory:
            self.store.upload(directory, target)
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
