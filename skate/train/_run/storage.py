"""Where a run is kept, and how a checkpoint gets there whole.

Workers copy their files into the checkpoint's directory under a name that marks it as partial; when all have, it is
renamed. On storage that cannot rename, the directory has its last name from the start, and the run's own list of
checkpoints, written last, says which are whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from skate.air._checkpoint import Checkpoint
from skate.air.storage import Store, resolve

__all__ = [
    "SNAPSHOT",
    "Background",
    "RunStorage",
]

SNAPSHOT = "checkpoint_manager_snapshot.json"


@dataclass
class RunStorage:
    """The directory of a run.

    Args:
        root: The storage path.
        name: The run's name.
        filesystem: A pyarrow file system; None finds it from `root`.
    """

    root: str
    name: str
    filesystem: Any = None

    def __post_init__(self) -> None:
        _, self.storage_fs_path = resolve(self.root, self.filesystem)
        self.experiment_dir_name = self.name

    @property
    def store(self) -> Store:
        """The file system."""
        return resolve(self.root, self.filesystem)[0]

    @property
    def storage_filesystem(self) -> Any:
        """The pyarrow file system."""
        return self.store.filesystem

    @property
    def path(self) -> str:
        """The run's directory."""
        return f"{self.storage_fs_path}/{self.name}"

    @property
    def experiment_fs_path(self) -> str:
        """The run's directory, under another name."""
        return self.path

    def prepare(self) -> None:
        """Make the run's directory, so that storage that cannot be written is known before training."""
        self.store.make_dir(self.path)

    def checkpoint(self, name: str) -> Checkpoint:
        """The checkpoint of a name; or at a path on the local disk, if it was not copied here."""
        store = self.store
        if store.is_local:
            return Checkpoint(os.path.join(self.path, name))
        return Checkpoint(f"{self.path}/{name}", store.filesystem)

    def bring(self, directory: str, name: str) -> None:
        """Copy one worker's files to where the checkpoint is put together."""
        store = self.store
        if store.is_local:
            shutil.copytree(directory, self._partial(name), dirs_exist_ok=True)
        else:
            store.upload(directory, f"{self.path}/{name}")

    def commit(self, name: str) -> None:
        """All workers have brought their files: give the checkpoint its name."""
        if self.store.is_local and os.path.isdir(self._partial(name)):
            target = f"{self.path}/{name}"
            if os.path.isdir(target):  # reported again, under the same name
                shutil.rmtree(target)
            os.rename(self._partial(name), target)

    def discard(self, name: str) -> None:
        """Remove what workers have brought of a checkpoint that will never be whole."""
        self.store.delete(self._partial(name) if self.store.is_local else f"{self.path}/{name}")

    def discard_partial(self) -> None:
        """Remove what failed workers have left half done."""
        store = self.store
        if store.is_local:
            for entry in store.list_dir(self.path):
                if entry.startswith(".partial-"):
                    store.delete(f"{self.path}/{entry}")

    def write_snapshot(self, snapshot: dict[str, Any]) -> None:
        """Write the run's list of checkpoints."""
        text = json.dumps(snapshot, default=_plain)
        self.store.write(f"{self.path}/{SNAPSHOT}", text.encode())

    def read_snapshot(self) -> dict[str, Any] | None:
        """The run's list of checkpoints, or None if there is none."""
        file = f"{self.path}/{SNAPSHOT}"
        if not self.store.exists(file):
            return None
        loaded: dict[str, Any] = json.loads(self.store.read(file))
        return loaded

    def _partial(self, name: str) -> str:
        return f"{self.path}/.partial-{name}"

    def __repr__(self) -> str:
        return (
            f"StorageContext<\n  storage_filesystem='{self.store.type_name}',\n  "
            f"storage_fs_path='{self.storage_fs_path}',\n  experiment_dir_name='{self.name}',\n>"
        )


def _plain(value: Any) -> Any:
    """NumPy's and torch's scalars as numbers; what JSON cannot express, as text."""
    item = getattr(value, "item", None)
    if callable(item):
        try:
            return item()
        except (ValueError, RuntimeError):  # NumPy and torch say so of what has several elements
            pass
    return repr(value)


class Background:
    """Does what takes its time on the storage: in one thread, in the order in which it was asked for."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._open: list[Future[None]] = []

    def do(self, function: Callable[..., None], *args: Any) -> Future[None]:
        """Call a function after all that was asked for before.

        Args:
            function: The function.
            *args: Its arguments.

        Returns:
            What becomes of it.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="train-storage")
        self._open = [each for each in self._open if not each.done() or each.exception() is not None]
        self._open.append(self._thread.submit(function, *args))
        return self._open[-1]

    def finish(self) -> None:
        """Wait until all is done, and raise what the first of it has failed with."""
        while self._open:
            self._open.pop(0).result()

    def close(self) -> None:
        """Wait until all is done, and end the thread."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)
            self._thread = None
