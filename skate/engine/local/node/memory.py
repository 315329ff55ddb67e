"""The memory monitor: before the machine runs out of memory, the newest task that may be run again is ended.

The policy is pure: how much is used comes from `read`, and what may be ended from the scheduler's workers.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from skate.engine.local.node.pool import ACTOR, LEASED, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_CGROUPS = (
    (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory.current",
        "/sys/fs/cgroup/memory.stat",
        "inactive_file",
    ),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
        "total_inactive_file",
    ),
)


class Monitor:
    """Decides when a worker must go, and which.

    Args:
        read: Gives (used, total) bytes of the machine; None where the system does not tell, and then nobody is ended.
        threshold: The share of the total above which a worker is ended.
        period: Seconds between looks; 0 for never.
    """

    def __init__(self, read: Callable[[], tuple[int, int] | None], threshold: float, period: float) -> None:
        self.threshold = threshold
        self._read = read
        self._period = period
        self.due = 0.0 if period else float("inf")
        """When the next look is to be taken."""
        self._victim: int | None = None

    def look(self, now: float, workers: Mapping[int, Worker]) -> tuple[int, str] | None:
        """(worker, why) of who must be ended now, if anybody. One goes at a time: the next look counts what that has freed."""
        if now < self.due:
            return None
        self.due = now + self._period
        if self._victim in workers:
            return None
        self._victim = None
        read = self._read()
        if read is None:
            return None
        used, total = read
        if used <= self.threshold * total:
            return None
        victim = newest(workers.values())
        if victim is None:
            return None
        self._victim = victim.number
        return victim.number, (
            f"{used / 1e9:.1f} GB of the machine's {total / 1e9:.1f} GB of memory were used ({used / total:.0%}, the limit is "
            f"{self.threshold:.0%}), and it was the newest that could be ended"
        )


def newest(workers: Iterable[Worker]) -> Worker | None:
    """Who is to be ended: what can be run again before what can't, tasks before actors, the newest before the older."""
    able = [worker for worker in workers if worker.state in (LEASED, ACTOR)]
    return max(able, key=lambda w: (w.retriable, w.state == LEASED, w.since), default=None)


def machine_memory(meminfo: str = "/proc/meminfo") -> tuple[int, int] | None:
    """(used, total) bytes of this machine, or of the container that this process is in, if that has less; None without /proc."""
    try:
        lines = Path(meminfo).read_text().splitlines()
    except OSError:
        return None  # no Linux
    facts = {}
    for line in lines:
        name, _, rest = line.partition(":")
        facts[name] = int(rest.split()[0]) * 1024
    total = facts["MemTotal"]
    used = total - facts["MemAvailable"]
    for limit, usage, stat, cache in _CGROUPS:
        try:
            most = int(Path(limit).read_text())
            inside = int(Path(usage).read_text())
            lines = Path(stat).read_text().splitlines()
        except (OSError, ValueError):
            continue  # there is no such limit
        if most < total:
            reclaimable = next((int(line.split()[1]) for line in lines if line.split()[0] == cache), 0)
            return inside - reclaimable, most
    return used, total


def process_memory(pid: int) -> int:
    """The bytes that a process has to itself; 0 if it is gone."""
    try:
        _size, resident, shared, *_rest = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
