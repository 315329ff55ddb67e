"""How much memory this process may use: what work that holds many rows goes by when it decides to use the disk."""

from __future__ import annotations

import resource

from skate._memory import machine_memory

_SHARE = 8  # an operator holds up to one part in so many; it needs about as much again to work, and is seldom alone
_PIECES = 16


def limit() -> int:
    """The bytes that this process may use: the machine's, or fewer by a limit of its own or of its control group."""
    found = [machine_memory()]
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            found.append(soft)
    return min(found)


def budget() -> int:
    """The bytes of rows that an operator may hold before it uses the disk."""
    return max(16 << 20, limit() // _SHARE)


def piece() -> int:
    """The bytes of rows that should move at a time: of each piece there are several copies, here and in tasks."""
    return budget() // _PIECES


__all__ = ["budget", "limit", "piece"]
