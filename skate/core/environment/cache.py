"""What environments are made of, kept on disk by content: made once however many ask, removed oldest first when it grows too large.

An entry is a directory whose name is a hash of what it was made from; a file beside it says that it is complete. (It is made in
place, as a virtual environment can't be moved.) Whoever uses one holds a shared lock on another file; only what nobody uses is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator

LIMIT = 10 << 30
"""Bytes that all entries together may have before the ones used least recently go; `SKATE_ENV_CACHE_BYTES` sets another."""


def root() -> str:
    """The folder of this user's cache; made private if it is not there. `SKATE_ENV_CACHE` names another."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    path = os.environ.get("SKATE_ENV_CACHE") or os.path.join(base, "skate", "environments")
    os.makedirs(path, mode=0o700, exist_ok=True)
    return path


def is_entry(path: str) -> bool:
    """Whether a path is inside the cache."""
    return os.path.commonpath([os.path.realpath(path), os.path.realpath(root())]) == os.path.realpath(root())


def entry(name: str, make: Callable[[str], None]) -> str:
    """The path of the entry of that name, made by `make(directory)` if it is not there yet."""
    path = os.path.join(root(), name)
    if not os.path.exists(f"{path}.done"):
        with _lock(path, fcntl.LOCK_EX):
            if not os.path.exists(f"{path}.done"):
                shutil.rmtree(path, ignore_errors=True)  # of somebody who was killed while he made it
                os.mkdir(path, 0o700)
                try:
                    make(path)
                except BaseException:
                    shutil.rmtree(path, ignore_errors=True)
                    raise
                os.close(os.open(f"{path}.done", os.O_CREAT | os.O_WRONLY, 0o600))
        trim(keep=name)
    os.utime(path)
    return path


def use(path: str) -> int:
    """A descriptor that keeps an entry from being removed until it is closed."""
    fd = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_SH)
    return fd


def trim(keep: str = "") -> None:
    """Remove entries that nobody uses, those used least recently first, until the rest fit."""
    limit = int(os.environ.get("SKATE_ENV_CACHE_BYTES") or LIMIT)
    base = root()
    done = [name.removesuffix(".done") for name in os.listdir(base) if name.endswith(".done")]
    paths = sorted((os.path.join(base, name) for name in done), key=lambda path: os.stat(path).st_mtime)
    sizes = {path: _size(path) for path in paths}
    total = sum(sizes.values())
    for path in paths:
        if total <= limit:
            return
        if os.path.basename(path) == keep:
            continue
        try:
            with _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
                os.unlink(f"{path}.done")
                shutil.rmtree(path)
                os.unlink(f"{path}.lock")
        except BlockingIOError:
            continue  # somebody uses it
        total -= sizes[path]


@contextlib.contextmanager
def _lock(path: str, how: int) -> Iterator[None]:
    fd = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        os.close(fd)


def _size(path: str) -> int:
    return sum(
        os.lstat(os.path.join(folder, name)).st_size
        for folder, _dirs, names in os.walk(path)
        for name in names
    )
