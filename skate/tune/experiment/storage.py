"""Where an experiment is kept: on a file system, and on the local disk while it is written."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from typing import Any

from skate.air.config import SyncConfig
from skate.air.storage import Store, resolve

__all__ = [
    "ExperimentStorage",
]


class ExperimentStorage:
    """Where an experiment is kept.

    On the local disk it is written in place. Otherwise what the driver writes is collected in a local directory, and
    uploaded from there; checkpoints go straight from the trials to their place.

    Args:
        storage_path: The directory, or its URI, under which experiments lie.
        name: The experiment's directory under it.
        filesystem: The pyarrow or fsspec file system; default: found from the path.
        sync_config: How files reach remote storage.
    """

    def __init__(
        self, storage_path: str, name: str, filesystem: Any = None, sync_config: SyncConfig | None = None
    ) -> None:
        self.store: Store
        self.store, root = resolve(storage_path, filesystem)
        self.storage_path = storage_path
        self.root = root
        self.name = name
        self.sync_config = sync_config or SyncConfig()
        self.path = f"{root.rstrip('/')}/{name}"
        self._filesystem = filesystem
        self._staging: str | None = None
        self._uploaded: dict[str, tuple[int, int]] = {}

    @property
    def local_path(self) -> str:
        """The local directory in which the experiment is written."""
        if self.store.is_local:
            return self.path
        if self._staging is None:
            self._staging = tempfile.mkdtemp(prefix="skate-tune-")
            weakref.finalize(self, shutil.rmtree, self._staging, ignore_errors=True)
        return self._staging

    @property
    def filesystem(self) -> Any:
        """The pyarrow file system."""
        return self.store.filesystem

    @property
    def storage_filesystem(self) -> Any:
        """What to give a `Checkpoint` or `Result` for its file system; None: the local disk."""
        return None if self.store.is_local else self.store.filesystem

    def make(self) -> None:
        """Make the directory, and check that it can be written to.

        Raises:
            RuntimeError: it can't.
        """
        try:
            self.store.make_dir(self.path)
            self.store.write(f"{self.path}/.validate_storage_marker", b"")
        except OSError as error:
            raise RuntimeError(
                f"the storage path {self.storage_path!r} can't be written to: {error}. Pass another one as "
                "RunConfig(storage_path=…)."
            ) from error

    def sync_up(self) -> None:
        """Upload what has been written since the last time. Nothing to do on the local disk."""
        if self.store.is_local or self._staging is None:
            return
        for root, _, files in os.walk(self._staging):
            below = os.path.relpath(root, self._staging)
            for name in files:
                local = os.path.join(root, name)
                status = os.stat(local)
                seen = (status.st_mtime_ns, status.st_size)
                if self._uploaded.get(local) != seen:
                    with open(local, "rb") as file:
                        target = name if below == "." else f"{below}/{name}"
                        self.store.write(f"{self.path}/{target}", file.read())
                    self._uploaded[local] = seen

    def bring_down(self, names: Iterable[str]) -> None:
        """Copy files to the local directory, where they will be gone on with. Nothing to do on the local disk.

        Args:
            names: Paths in the experiment's directory; those that do not exist are left out.
        """
        if self.store.is_local:
            return
        for name in names:
            if not self.store.exists(f"{self.path}/{name}"):
                continue
            target = os.path.join(self.local_path, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(self.store.read(f"{self.path}/{name}"))
            status = os.stat(target)
            self._uploaded[target] = (status.st_mtime_ns, status.st_size)

    def close(self) -> None:
        """Remove the local directory, if it was only one to collect in."""
        if self._staging is not None:
            shutil.rmtree(self._staging, ignore_errors=True)
            self._staging = None
            self._uploaded.clear()
