"""Finding and opening files: local, on object stores, over HTTP; by name, by folder, by pattern."""

from __future__ import annotations

import glob as local_glob
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import pyarrow as pa
import pyarrow.fs as pafs

from skate.data.options import FileShuffleConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

_WINDOW = 16  # downloads at the same time


def resolve_paths(paths: Any, filesystem: Any = None) -> tuple[list[str], pafs.FileSystem]:
    """Paths as the file system writes them, and the file system.

    Args:
        paths: A path or several: local, or addresses like `s3://bucket/key`.
        filesystem: An Arrow or fsspec file system; None finds one by the address.

    Raises:
        ValueError: there are none, or they are no paths.
    """
    if isinstance(paths, (str, Path)):
        paths = [paths]
    elif isinstance(paths, (list, tuple)):
        wrong = [path for path in paths if not isinstance(path, (str, Path))]
        if wrong:
            raise ValueError(f"All paths must be str or pathlib.Path, and these are not: {wrong!r}.")
    else:
        raise ValueError(
            f"paths must be str, pathlib.Path, or list, got {type(paths)}: the `paths` must be either a path string or a "
            f"list of path strings, received `paths = {paths}`."
        )
    if len(paths) == 0:
        raise ValueError("Must provide at least one path.")
    texts = [str(path) for path in paths]
    if filesystem is not None:
        chosen = as_arrow_filesystem(filesystem)
        return [_strip_scheme(text, chosen) for text in texts], chosen
    chosen_all = [_by_address(text) for text in texts]
    first = chosen_all[0][0]
    return [path for _, path in chosen_all], first


def as_arrow_filesystem(filesystem: Any) -> pafs.FileSystem:
    """An Arrow file system from one of Arrow or of fsspec.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(filesystem, pafs.FileSystem):
        return filesystem
    if hasattr(filesystem, "protocol") and hasattr(filesystem, "open"):
        return pafs.PyFileSystem(pafs.FSSpecHandler(filesystem))
    raise TypeError(
        "Filesystem must conform to pyarrow.fs.FileSystem or fsspec.spec.AbstractFileSystem, got: "
        f"{type(filesystem).__name__}: {filesystem!r}"
    )


def expanded(path: str) -> str:
    """A local path with ~ resolved, as an absolute one; an address as it is, without `local://`."""
    text = str(path).removeprefix("local://").removeprefix("file://")
    return text if "://" in text else os.path.abspath(os.path.expanduser(text))


def _strip_scheme(text: str, filesystem: pafs.FileSystem) -> str:
    if "://" not in text:
        return text
    parsed = urlparse(text)
    if parsed.scheme in ("http", "https"):
        return text
    return unquote(parsed.netloc + parsed.path) if parsed.scheme != "file" else unquote(parsed.path)


def _by_address(text: str) -> tuple[pafs.FileSystem, str]:
    scheme = text.partition("://")[0] if "://" in text else ""
    if scheme in ("", "local", "file", "example"):
        path = text.removeprefix("local://").removeprefix("file://").removeprefix("example://")
        return pafs.LocalFileSystem(), os.path.abspath(os.path.expanduser(path))
    if scheme in ("s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss"):
        found, path = pafs.FileSystem.from_uri(text)
        return found, path
    from skate.data.interop import require_module

    fsspec = require_module("fsspec")
    found, path = fsspec.core.url_to_fs(text)
    return pafs.PyFileSystem(pafs.FSSpecHandler(found)), path


def expand(
    paths: list[str],
    filesystem: pafs.FileSystem,
    extensions: list[str] | None = None,
    ignore_missing: bool = False,
) -> list[tuple[str, int]]:
    """The files behind paths, with their sizes: folders are walked, patterns matched; hidden files are left out.

    Raises:
        FileNotFoundError: there is nothing at a path.
        ValueError: nothing is left.
    """
    found: list[tuple[str, int]] = []
    for path in paths:
        for info in _infos(path, filesystem, ignore_missing):
            found.append((info.path, info.size or 0))
    if extensions is not None:
        suffixes = tuple(f".{ext.lower().lstrip('.')}" for ext in extensions)
        compressed = tuple(f"{suffix}{tail}" for suffix in suffixes for tail in (".gz", ".bz2", ".zst"))
        kept = [pair for pair in found if pair[0].lower().endswith(suffixes + compressed)]
        if found and not kept:
            raise ValueError(
                f"No input files found to read with the following file extensions: {extensions}. Please double check "
                "that 'file_extensions' field is set properly."
            )
        found = kept
    return found


def _infos(path: str, filesystem: pafs.FileSystem, ignore_missing: bool) -> Iterator[pafs.FileInfo]:
    info = filesystem.get_file_info(path)
    if info.type == pafs.FileType.NotFound and any(mark in path for mark in "*?["):
        if isinstance(filesystem, pafs.LocalFileSystem):
            matches = sorted(local_glob.glob(path, recursive=True))
            if matches:
                for match in matches:
                    yield from _infos(match, filesystem, ignore_missing)
                return
    if info.type == pafs.FileType.File:
        yield info
    elif info.type == pafs.FileType.Directory:
        selector = pafs.FileSelector(path, recursive=True)
        entries = [e for e in filesystem.get_file_info(selector) if e.type == pafs.FileType.File]
        base = len(path.rstrip("/")) + 1
        yield from sorted(
            (
                entry
                for entry in entries
                if not any(part.startswith((".", "_")) for part in entry.path[base:].split("/"))
            ),
            key=lambda entry: entry.path,
        )
    elif not ignore_missing:
        raise FileNotFoundError(path)


def shuffled(files: list[tuple[str, int]], shuffle: Any) -> list[tuple[str, int]]:
    """The files in random order, if that is asked for.

    Raises:
        ValueError: `shuffle` is none of its values.
    """
    if shuffle is None:
        return files
    if shuffle != "files" and not isinstance(shuffle, FileShuffleConfig):
        raise ValueError(
            f"Invalid value for 'shuffle': {shuffle}. Valid values are None, 'files', `FileShuffleConfig`."
        )
    seed = shuffle.seed if isinstance(shuffle, FileShuffleConfig) else None
    mixed = list(files)
    random.Random(seed).shuffle(mixed)
    return mixed


def open_input(filesystem: pafs.FileSystem, path: str, args: dict[str, Any] | None = None) -> Any:
    """A stream of a file; decompressed if its name says that it is compressed.

    Raises:
        OSError: it can't be opened.
    """
    options = dict(args or {})
    if "compression" not in options:
        options["compression"] = "detect"
    return filesystem.open_input_stream(path, **options)


def download_all(addresses: list[str | None], filesystem: Any) -> pa.Array:
    """The bytes behind addresses; null where there is no address, or reading fails."""

    def one(address: str | None) -> bytes | None:
        if address is None:
            return None
        try:
            paths, found = resolve_paths(address, filesystem)
            with found.open_input_stream(paths[0]) as stream:
                return bytes(stream.read())
        except OSError:
            return None

    with ThreadPoolExecutor(_WINDOW) as pool:
        return pa.array(list(pool.map(one, addresses)), pa.binary())


__all__ = [
    "as_arrow_filesystem",
    "download_all",
    "expand",
    "expanded",
    "open_input",
    "resolve_paths",
    "shuffled",
]
