"""Directories and archives of code, kept in the cache by content: workers read a copy that nobody changes."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

from skate.core.environment import cache
from skate.exceptions import RuntimeEnvSetupError

LIMIT = 500 << 20
"""Bytes that one package may have."""

_SKIPPED = ("__pycache__", ".git", ".venv", "venv")
_IGNORE_FILES = (".gitignore", ".rayignore")
_ARCHIVES = (".zip", ".whl")


def directory(path: str, excludes: Sequence[str]) -> str:
    """The cached copy of a working directory, or of what a .zip file holds.

    Raises:
        RuntimeEnvSetupError: there is nothing there, or it is too large.
    """
    if cache.is_entry(path):
        return path
    local = _fetch(path) if "://" in path else os.path.abspath(os.path.expanduser(path))
    if os.path.isdir(local):
        return _copied(local, excludes, "")
    if local.endswith(".zip") and os.path.isfile(local):
        return _unpacked(local)
    raise RuntimeEnvSetupError(
        f"runtime_env['working_dir']={path!r}: it is neither a directory nor a .zip file that exists here."
    )


def module(item: Any, excludes: Sequence[str]) -> str:
    """A cached folder that makes a module importable once it is on `sys.path`.

    Raises:
        RuntimeEnvSetupError: there is nothing there, or it is too large.
    """
    if not isinstance(item, str | os.PathLike):
        places = list(getattr(item, "__path__", None) or [item.__file__])
        item = places[0]
    path: str = os.fspath(item)
    if cache.is_entry(path):
        return path
    local = _fetch(path) if "://" in path else os.path.abspath(os.path.expanduser(path))
    if os.path.isdir(local):
        return _copied(local, excludes, os.path.basename(local))
    if os.path.isfile(local):
        if local.endswith(_ARCHIVES):
            return _unpacked(local)
        if local.endswith(".py"):
            return _single_file(local)
    raise RuntimeEnvSetupError(
        f"runtime_env['py_modules'] holds {path!r}: it is neither a package's directory, nor a .py, .zip or .whl file that exists "
        "here."
    )


def _copied(folder: str, excludes: Sequence[str], under: str) -> str:
    files = list(_files(folder, excludes))
    total = sum(size for _path, size, _mode in files)
    if total > LIMIT:
        largest = ", ".join(f"{p} ({s >> 20} MiB)" for p, s, _m in sorted(files, key=lambda f: -f[1])[:3])
        raise RuntimeEnvSetupError(
            f"{folder} has {total >> 20} MiB of files, and a runtime environment takes {LIMIT >> 20} MiB: leave some out by "
            f"runtime_env['excludes'] or a .gitignore file. The largest: {largest}."
        )
    digest = hashlib.sha256(under.encode())
    for path, size, mode in files:
        digest.update(f"\0{path}\0{size}\0{mode & stat.S_IXUSR}\0".encode())
        with open(os.path.join(folder, path), "rb") as file:
            digest.update(file.read())

    def make(target: str) -> None:
        base = os.path.join(target, under)
        os.makedirs(base, exist_ok=True)
        for path, _size, _mode in files:
            place = os.path.join(base, path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            shutil.copy2(os.path.join(folder, path), place)

    return cache.entry(f"package-{digest.hexdigest()[:32]}", make)


def _files(folder: str, excludes: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """(path below `folder`, size, mode) of the files that are not left out, in order."""
    ignored = _ignored(folder, excludes)
    for here, dirs, names in os.walk(folder, followlinks=True):
        below = os.path.relpath(here, folder)
        prefix = "" if below == "." else f"{below}/"
        dirs[:] = sorted(d for d in dirs if d not in _SKIPPED and not ignored(f"{prefix}{d}/"))
        for name in sorted(names):
            path = f"{prefix}{name}"
            if ignored(path):
                continue
            try:
                facts = os.stat(os.path.join(here, name))
            except FileNotFoundError:
                continue  # a link to nowhere
            if stat.S_ISREG(facts.st_mode):
                yield path, facts.st_size, facts.st_mode


def _ignored(folder: str, excludes: Sequence[str]) -> Any:
    patterns: list[str] = []
    for name in _IGNORE_FILES:
        place = os.path.join(folder, name)
        if os.path.isfile(place):
            with open(place, encoding="utf-8") as file:
                patterns += file.read().splitlines()
    patterns += excludes
    if not patterns:
        return lambda _path: False
    import pathspec

    return pathspec.GitIgnoreSpec.from_lines(patterns).match_file


def _unpacked(archive: str) -> str:
    if os.path.getsize(archive) > LIMIT:
        raise RuntimeEnvSetupError(
            f"{archive} has {os.path.getsize(archive) >> 20} MiB, and a runtime environment takes {LIMIT >> 20} MiB."
        )
    with open(archive, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()

    def make(target: str) -> None:
        try:
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(target)
        except zipfile.BadZipFile as error:
            raise RuntimeEnvSetupError(f"{archive} can't be unpacked: {error}.") from error

    return cache.entry(f"package-{digest[:32]}", make)


def _single_file(path: str) -> str:
    with open(path, "rb") as file:
        content = file.read()
    digest = hashlib.sha256(os.path.basename(path).encode() + b"\0" + content).hexdigest()

    def make(target: str) -> None:
        shutil.copy2(path, target)

    return cache.entry(f"package-{digest[:32]}", make)


def _fetch(uri: str) -> str:
    """A local file with what a URI names."""
    if uri.startswith("file://"):
        return uri.removeprefix("file://")
    try:
        import fsspec
    except ImportError as error:
        raise RuntimeEnvSetupError(
            f"{uri} can't be fetched: that needs fsspec. Install it: pip install fsspec (and s3fs, gcsfs or aiohttp by the scheme)."
        ) from error
    name = f"download-{hashlib.sha256(uri.encode()).hexdigest()[:32]}"
    ending = os.path.splitext(uri)[1]

    def make(target: str) -> None:
        with fsspec.open(uri, "rb") as source, open(os.path.join(target, f"content{ending}"), "wb") as copy:
            shutil.copyfileobj(source, copy)

    return os.path.join(cache.entry(name, make), f"content{ending}")
