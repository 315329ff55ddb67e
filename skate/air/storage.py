"""The file systems that a run can be kept on: this machine's disk, and whatever pyarrow or fsspec can open.

A `Store` does the few things a run needs, on paths without a scheme. `resolve` chooses the store for a path or URI.
The local store uses the standard library alone, so a run on the local disk never imports pyarrow.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = [
    "ArrowStore",
    "DEFAULT_STORAGE_PATH",
    "LocalStore",
    "Store",
    "default_storage_path",
    "is_uri",
    "resolve",
    "store_of",
]

DEFAULT_STORAGE_PATH = os.path.join(os.path.expanduser("~"), "ray_results")
"""Ray's place, so that a program that restores a run from there finds it."""

_URI = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_PARTIAL = ".partial-"


def default_storage_path() -> str:
    """Where runs are kept that name no place: $SKATE_RESULTS, or ~/ray_results."""
    return os.environ.get("SKATE_RESULTS") or DEFAULT_STORAGE_PATH


def is_uri(path: str) -> bool:
    """Whether a path has a scheme, such as "s3://"."""
    return bool(_URI.match(path))


class Store(ABC):
    """A file system, as far as a run needs one. Paths are absolute, with "/" between their parts."""

    is_local: bool
    type_name: str

    @property
    @abstractmethod
    def filesystem(self) -> Any:
        """The pyarrow file system."""

    @abstractmethod
    def exists(self, path: str) -> bool:
        """Whether there is a file or directory."""

    @abstractmethod
    def make_dir(self, path: str) -> None:
        """Make a directory and its parents; no error if it exists."""

    @abstractmethod
    def list_dir(self, path: str) -> list[str]:
        """Names in a directory, sorted; none if it does not exist."""

    @abstractmethod
    def upload(self, local_dir: str, path: str) -> None:
        """Copy a local directory here. On the local disk the directory appears whole or not at all."""

    @abstractmethod
    def download(self, path: str, local_dir: str) -> None:
        """Copy a directory from here into a local one, which may exist.

        Raises:
            FileNotFoundError: there is no such directory.
        """

    @abstractmethod
    def write(self, path: str, data: bytes) -> None:
        """Write a file, replacing it whole."""

    @abstractmethod
    def read(self, path: str) -> bytes:
        """Read a file.

        Raises:
            FileNotFoundError: there is no such file.
        """

    @abstractmethod
    def delete(self, path: str) -> None:
        """Remove a file or a directory with all that is in it; no error if it does not exist."""

    @contextmanager
    def as_local(self, path: str) -> Iterator[str]:
        """A local directory with what is at `path`, for as long as the block lasts."""
        with tempfile.TemporaryDirectory(prefix="skate-download-") as directory:
            self.download(path, directory)
            yield directory


class LocalStore(Store):
    """This machine's disk."""

    is_local = True
    type_name = "local"

    @property
    def filesystem(self) -> Any:
        """A pyarrow `LocalFileSystem`."""
        return _pyarrow_fs().LocalFileSystem()

    def exists(self, path: str) -> bool:
        """Whether there is a file or directory."""
        return os.path.exists(path)

    def make_dir(self, path: str) -> None:
        """Make a directory and its parents."""
        os.makedirs(path, exist_ok=True)

    def list_dir(self, path: str) -> list[str]:
        """Names in a directory, sorted."""
        try:
            return sorted(os.listdir(path))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def upload(self, local_dir: str, path: str) -> None:
        """Copy to a hidden neighbour, then rename: a death half-way leaves no half of a directory under `path`."""
        if os.path.abspath(local_dir) == os.path.abspath(path):
            return
        parent, name = os.path.split(path.rstrip("/"))
        os.makedirs(parent, exist_ok=True)
        partial = os.path.join(parent, f".{name}{_PARTIAL}{uuid.uuid4().hex[:8]}")
        try:
            shutil.copytree(local_dir, partial)
            if os.path.exists(path):
                shutil.rmtree(path)
            os.rename(partial, path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def download(self, path: str, local_dir: str) -> None:
        """Copy a directory."""
        if not os.path.isdir(path):
            raise FileNotFoundError(f"there is no directory {path!r} to copy from.")
        shutil.copytree(path, local_dir, dirs_exist_ok=True)

    def write(self, path: str, data: bytes) -> None:
        """Write to a neighbour, then rename."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        partial = f"{path}{_PARTIAL}{uuid.uuid4().hex[:8]}"
        try:
            Path(partial).write_bytes(data)
            os.replace(partial, path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise

    def read(self, path: str) -> bytes:
        """Read a file."""
        return Path(path).read_bytes()

    def delete(self, path: str) -> None:
        """Remove a file or directory."""
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            Path(path).unlink(missing_ok=True)

    @contextmanager
    def as_local(self, path: str) -> Iterator[str]:
        """The directory itself."""
        if not os.path.isdir(path):
            raise FileNotFoundError(f"there is no directory {path!r}.")
        yield path


class ArrowStore(Store):
    """Any file system that pyarrow opens: S3, GCS, Azure, HDFS, or an fsspec one that it wraps."""

    is_local = False

    def __init__(self, filesystem: Any) -> None:
        self._filesystem = filesystem
        self.type_name = str(filesystem.type_name)

    @property
    def filesystem(self) -> Any:
        """The pyarrow file system."""
        return self._filesystem

    def exists(self, path: str) -> bool:
        """Whether there is a file or directory."""
        return bool(self._filesystem.get_file_info(path).type != _pyarrow_fs().FileType.NotFound)

    def make_dir(self, path: str) -> None:
        """Make a directory and its parents."""
        self._filesystem.create_dir(path, recursive=True)

    def list_dir(self, path: str) -> list[str]:
        """Names in a directory, sorted."""
        selector = _pyarrow_fs().FileSelector(path, allow_not_found=True, recursive=False)
        return sorted(info.base_name for info in self._filesystem.get_file_info(selector))

    def upload(self, local_dir: str, path: str) -> None:
        """Copy file by file. Who reads it learns that it is there from the run's journal, written afterwards."""
        self.make_dir(path)
        for root, _, files in os.walk(local_dir):
            below = os.path.relpath(root, local_dir)
            target = path if below == "." else f"{path}/{below}"
            if below != ".":
                self.make_dir(target)
            for name in files:
                with (
                    open(os.path.join(root, name), "rb") as source,
                    self._filesystem.open_output_stream(f"{target}/{name}") as sink,
                ):
                    shutil.copyfileobj(source, sink, 1 << 20)

    def download(self, path: str, local_dir: str) -> None:
        """Copy a directory."""
        fs = _pyarrow_fs()
        if self._filesystem.get_file_info(path).type == fs.FileType.NotFound:
            raise FileNotFoundError(f"there is no directory {path!r} on the {self.type_name} file system.")
        os.makedirs(local_dir, exist_ok=True)
        for info in self._filesystem.get_file_info(fs.FileSelector(path, recursive=True)):
            target = os.path.join(local_dir, os.path.relpath(info.path.strip("/"), path.strip("/")))
            if info.type == fs.FileType.Directory:
                os.makedirs(target, exist_ok=True)
                continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with self._filesystem.open_input_stream(info.path) as source, open(target, "wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)

    def write(self, path: str, data: bytes) -> None:
        """Write a file."""
        self.make_dir(os.path.dirname(path))
        with self._filesystem.open_output_stream(path) as sink:
            sink.write(data)

    def read(self, path: str) -> bytes:
        """Read a file."""
        if not self.exists(path):
            raise FileNotFoundError(f"there is no file {path!r} on the {self.type_name} file system.")
        with self._filesystem.open_input_stream(path) as source:
            return bytes(source.read())

    def delete(self, path: str) -> None:
        """Remove a file or directory."""
        fs = _pyarrow_fs()
        kind = self._filesystem.get_file_info(path).type
        if kind == fs.FileType.Directory:
            self._filesystem.delete_dir(path)
        elif kind != fs.FileType.NotFound:
            self._filesystem.delete_file(path)


def resolve(path: str | os.PathLike[str], filesystem: Any = None) -> tuple[Store, str]:
    """Find the store for a path, and the path on it.

    Args:
        path: A local path, absolute or relative to the working directory or with "~"; or a URI such as
            "s3://bucket/runs" or "file:///runs". With `filesystem` it must have no scheme.
        filesystem: A pyarrow file system, or an fsspec one.

    Returns:
        The store, and the path on it.

    Raises:
        ValueError: a URI was given together with a file system, or its scheme is not known.

    Example:
        >>> store, path = resolve("/tmp/runs")
        >>> store.is_local, path
        (True, '/tmp/runs')
    """
    text = os.fspath(path)
    if filesystem is not None:
        if is_uri(text):
            raise ValueError(
                f"the path {text!r} has a scheme although a filesystem was given: pass the path on that "
                "filesystem, without the scheme."
            )
        return store_of(filesystem), text.rstrip("/") or "/"
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    if not is_uri(text):
        return LocalStore(), os.path.abspath(os.path.expanduser(text))
    fs = _pyarrow_fs()
    import pyarrow

    try:
        filesystem, text = fs.FileSystem.from_uri(text)
    except pyarrow.lib.ArrowInvalid:
        filesystem, text = _open_with_fsspec(text)
    return store_of(filesystem), text.rstrip("/") or "/"


def store_of(filesystem: Any) -> Store:
    """The store for a file system of pyarrow or fsspec."""
    fs = _pyarrow_fs()
    if isinstance(filesystem, fs.LocalFileSystem):
        return LocalStore()
    if not isinstance(filesystem, fs.FileSystem):
        if not hasattr(filesystem, "open") or not hasattr(filesystem, "protocol"):
            raise TypeError(
                f"storage_filesystem={filesystem!r} is neither a pyarrow.fs.FileSystem nor an fsspec file system."
            )
        filesystem = fs.PyFileSystem(fs.FSSpecHandler(filesystem))
    return ArrowStore(filesystem)


def _open_with_fsspec(uri: str) -> tuple[Any, str]:
    scheme = uri.split("://", 1)[0]
    try:
        import fsspec
    except ImportError as error:
        raise ImportError(
            f"{uri!r}: pyarrow does not know {scheme!r}, and fsspec, which may, is not installed. "
            'Install it: pip install "fsspec"'
        ) from error
    try:
        filesystem, path = fsspec.core.url_to_fs(uri)
    except ValueError as error:
        raise ValueError(f"{uri!r}: neither pyarrow nor fsspec knows the scheme {scheme!r}.") from error
    fs = _pyarrow_fs()
    return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), path


def _pyarrow_fs() -> Any:
    try:
        import pyarrow.fs
    except ImportError as error:
        raise ImportError(
            'pyarrow is needed for file systems other than the local disk: pip install "skate[tune]"'
        ) from error
    return pyarrow.fs
