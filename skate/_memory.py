"""How much memory this process's machine, or its control group, lets it have."""

from __future__ import annotations

import os

_CGROUPS = "/sys/fs/cgroup"


def machine_memory() -> int:
    """Bytes: the machine's, or fewer if a control group of this process, or one around it, has a limit (a container's)."""
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_cgroup_limits()])


def _cgroup_limits(mine: str = "/proc/self/cgroup", root: str = _CGROUPS) -> list[int]:
    """The limits of the control groups that the file `mine` names, of either version, and of those around them."""
    try:
        with open(mine, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:  # no Linux
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += _limits_above(root, path, "memory.max")
        elif "memory" in controllers.split(","):
            found += _limits_above(f"{root}/memory", path, "memory.limit_in_bytes")
    return found


def _limits_above(root: str, path: str, name: str) -> list[int]:
    parts = [part for part in path.split("/") if part]
    found = []
    for depth in range(len(parts), -1, -1):
        try:
            with open("/".join([root, *parts[:depth], name]), encoding="ascii") as file:
                found.append(int(file.read()))
        except (OSError, ValueError):
            continue  # not visible from inside a container, or "max"
    return found


__all__ = ["machine_memory"]
