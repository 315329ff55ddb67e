"""A checkpoint: a directory of files that a trial or a training run has saved, wherever it lies."""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from skate.air.storage import LocalStore, Store, resolve, store_of

_METADATA_FILE = ".metadata.json"


class Checkpoint:
    """A reference to a directory on the local disk or on remote storage.

    Args:
        path: A local path, or a URI such as "s3://bucket/checkpoint"; with `filesystem`, a path on it.
        filesystem: A pyarrow file system; default: found from the path.

    Example:
        >>> import tempfile, pathlib
        >>> directory = tempfile.TemporaryDirectory()
        >>> _ = pathlib.Path(directory.name, "weights.txt").write_text("0.5")
        >>> checkpoint = Checkpoint.from_directory(directory.name)
        >>> with checkpoint.as_directory() as place:
        ...     pathlib.Path(place, "weights.txt").read_text()
        '0.5'
        >>> directory.cleanup()
    """

    path: str

    def __init__(self, path: str | os.PathLike[str], filesystem: Any = None) -> None:
        self.path = os.fspath(path)
        self._filesystem = filesystem
        if filesystem is None:
            store, self.path = resolve(self.path)
            self._filesystem = None if store.is_local else store.filesystem

    @property
    def filesystem(self) -> Any:
        """The pyarrow file system on which the checkpoint lies."""
        return self._store.filesystem

    @property
    def _store(self) -> Store:
        return LocalStore() if self._filesystem is None else store_of(self._filesystem)

    @classmethod
    def from_directory(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """Refer to a local directory. Nothing is copied.

        Args:
            path: The directory.

        Returns:
            The checkpoint.
        """
        return cls(path)

    def to_directory(self, path: str | os.PathLike[str] | None = None) -> str:
        """Copy the files to a local directory.

        Args:
            path: The directory, made if it does not exist; default: a new temporary one, which is yours to remove.

        Returns:
            The directory's path.

        Raises:
            FileNotFoundError: the checkpoint's directory does not exist.
        """
        if path is None:
            target = os.path.join(tempfile.gettempdir(), f"checkpoint_tmp_{uuid.uuid4().hex}")
        else:
            target = os.path.normpath(os.path.expanduser(os.fspath(path)))
        self._store.download(self.path, target)
        return target

    @contextmanager
    def as_directory(self) -> Iterator[str]:
        """A local directory with the files, for as long as the block lasts.

        If the checkpoint lies on the local disk it is that very directory: do not change it. Otherwise it is a
        temporary copy.

        Yields:
            The directory's path.
        """
        with self._store.as_local(self.path) as directory:
            yield directory

    def get_metadata(self) -> dict[str, Any]:
        """The metadata kept with the checkpoint.

        Returns:
            A dictionary, empty if none has been set.
        """
        store, path = self._store, f"{self.path}/{_METADATA_FILE}"
        if not store.exists(path):
            return {}
        loaded: dict[str, Any] = json.loads(store.read(path))
        return loaded

    def set_metadata(self, metadata: dict[str, Any]) -> None:
        """Keep metadata with the checkpoint, in place of what was there.

        Args:
            metadata: What JSON can express.
        """
        self._store.write(f"{self.path}/{_METADATA_FILE}", json.dumps(metadata).encode())

    def update_metadata(self, metadata: dict[str, Any]) -> None:
        """Add to the metadata; keys that exist are replaced.

        Args:
            metadata: What JSON can express.
        """
        self.set_metadata({**self.get_metadata(), **metadata})

    def __getattr__(self, name: str) -> Any:
        if name in ("to_dict", "get_preprocessor", "to_bytes", "to_uri"):
            raise AttributeError(
                f"a Checkpoint has no {name}(): it is a directory of files. Read them in "
                "`with checkpoint.as_directory() as path`."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Checkpoint):
            return NotImplemented
        if self.path != other.path:
            return False
        same_kind = (self._filesystem is None) == (other._filesystem is None)
        return same_kind and (self._filesystem is None or bool(self.filesystem.equals(other.filesystem)))

    def __hash__(self) -> int:
        return hash(self.path)

    def __fspath__(self) -> str:
        raise TypeError(
            "You cannot use `Checkpoint` objects directly as paths, as one may lie on remote storage: use "
            "`Checkpoint.to_directory()` or `with checkpoint.as_directory() as path`."
        )

    def __repr__(self) -> str:
        return f"Checkpoint(filesystem={self._store.type_name}, path={self.path})"
