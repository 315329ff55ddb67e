"""Where a run or a trial is kept, for programs that compute its paths themselves, and what they do there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from skate.air.storage import resolve, store_of

__all__ = ["StorageContext", "get_fs_and_path"]


def get_fs_and_path(storage_path: str | os.PathLike[str], storage_filesystem: Any = None) -> tuple[Any, str]:
    """The pyarrow file system of a path or URI, and the path on it.

    Args:
        storage_path: The path or URI.
        storage_filesystem: A file system on which it is a plain path; None finds it from the path.
    """
    store, path = resolve(storage_path, storage_filesystem)
    return store.filesystem, path


def _upload_to_fs_path(local_path: str, fs: Any, fs_path: str, exclude: list[str] | None = None) -> None:
    """Copy a local directory to a path of a file system.

    Raises:
        ValueError: `exclude` was given.
    """
    if exclude:
        raise ValueError(
            f"exclude={exclude!r} is not supported: copy what is wanted to a directory of its own."
        )
    store_of(fs).upload(local_path, fs_path)


def _download_from_fs_path(fs: Any, fs_path: str, local_path: str, filelock: bool = True) -> None:
    """Copy a directory of a file system here; a lock is not needed, since each copy is renamed as a whole."""
    store_of(fs).download(fs_path, local_path)


def _list_at_fs_path(fs: Any, fs_path: str) -> list[str]:
    """The names in a directory of a file system."""
    return store_of(fs).list_dir(fs_path)


def _exists_at_fs_path(fs: Any, fs_path: str) -> bool:
    """Whether there is something at a path of a file system."""
    return store_of(fs).exists(fs_path)


def _delete_fs_path(fs: Any, fs_path: str) -> None:
    """Delete what is at a path of a file system."""
    store_of(fs).delete(fs_path)


def _create_directory(fs: Any, fs_path: str) -> None:
    """Make a directory of a file system, and those around it."""
    store_of(fs).make_dir(fs_path)


class StorageContext:
    """The paths of an experiment, a trial and its checkpoints.

    Args:
        storage_path: Where experiments are kept: a path or URI.
        experiment_dir_name: The experiment's name.
        sync_config: Accepted for Ray's programs.
        storage_filesystem: A pyarrow file system; None finds it from `storage_path`.
        trial_dir_name: The trial's name, if there is one.
        current_checkpoint_index: The number of its newest checkpoint.
    """

    def __init__(
        self,
        storage_path: str | os.PathLike[str],
        experiment_dir_name: str,
        sync_config: Any = None,
        storage_filesystem: Any = None,
        trial_dir_name: str | None = None,
        current_checkpoint_index: int = -1,
    ) -> None:
        self.storage_filesystem, path = get_fs_and_path(storage_path, storage_filesystem)
        self.storage_fs_path = Path(path).as_posix()
        self.experiment_dir_name, self.trial_dir_name = experiment_dir_name, trial_dir_name
        self.current_checkpoint_index = current_checkpoint_index
        self.sync_config = sync_config
        _create_directory(self.storage_filesystem, self.experiment_fs_path)

    @property
    def experiment_fs_path(self) -> str:
        """The experiment's directory."""
        return f"{self.storage_fs_path}/{self.experiment_dir_name}"

    @property
    def trial_fs_path(self) -> str:
        """The trial's directory.

        Raises:
            RuntimeError: no trial's name was given.
        """
        if self.trial_dir_name is None:
            raise RuntimeError("Should not access `trial_fs_path` without setting `trial_dir_name`.")
        return f"{self.experiment_fs_path}/{self.trial_dir_name}"

    @property
    def checkpoint_dir_name(self) -> str:
        """The name of the newest checkpoint's directory."""
        return f"checkpoint_{self.current_checkpoint_index:06d}"

    @property
    def checkpoint_fs_path(self) -> str:
        """The newest checkpoint's directory."""
        return f"{self.trial_fs_path}/{self.checkpoint_dir_name}"
