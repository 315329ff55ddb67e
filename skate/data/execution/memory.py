"""How much memory this process may use: what work that holds many rows goes by when it decides to use the disk."""

from __future__ import annotations

import os
import resource
from pathlib import Path

_SHARE = 8  # an operator holds up to one part in so many; it needs about as much again to work, and is seldom alone
_PIECES = 16
_CGROUPS = Path("/sys/fs/cgroup")


def limit() -> int:
    """The bytes that this process may use: the machine's, or fewer by a limit of its own or of its control group."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_cgroup_limits()]
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            found.append(soft)
    return min(found)


def _cgroup_limits() -> list[int]:
    """The limits of this process's control groups, of either version, and of those around them."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:  # no Linux
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, name = (
            (_CGROUPS / "memory", "memory.limit_in_bytes") if controllers else (_CGROUPS, "memory.max")
        )
        here = root / path.lstrip("/")
        for folder in (here, *here.parents):
            try:
                found.append(int((folder / name).read_text()))
            except (OSError, ValueError):
                continue  # not visible from inside a container, or "max"
            if folder == root:
                break
    return found


def budget() -> int:
    """The bytes of rows that an operator may hold before it uses the disk."""
    return max(16 << 20, limit() // _SHARE)


def piece() -> int:
    """The bytes of rows that should move at a time: of each piece there are several copies, here and in tasks."""
    return budget() // _PIECES


__all__ = ["budget", "limit", "piece"]
