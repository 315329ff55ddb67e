"""The processes of one measurement, found by a mark in their environment, and the memory they hold."""

from __future__ import annotations

import importlib
import os
import time
from typing import Any

from benchmarks.session import TOKEN

__all__ = ["Memory", "alive", "end_leftovers", "memory_of_run", "processes_of"]


class Memory:
    """Memory of several processes, in bytes.

    Attributes:
        count: How many processes there are.
        uss: Sum of the pages each has to itself; pages that a fork still shares count nowhere.
        pss: Sum of each one's own pages and its share of shared ones; here shared pages count once.

    """

    def __init__(self, count: int, uss: int, pss: int) -> None:
        self.count = count
        self.uss = uss
        self.pss = pss


def processes_of(token: str) -> list[Any]:
    """Return the psutil processes that carry ``token``: children, daemons and orphans alike.

    A process is found by its environment, which forks and daemons inherit, so one that has left the tree
    is not missed. Descendants of this process whose environment was scrubbed are added.
    """
    psutil = importlib.import_module("psutil")
    found = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get(TOKEN) == token:
                found[process.pid] = process
        except psutil.Error:
            continue  # gone, a zombie, or someone else's
    if os.environ.get(TOKEN) == token:
        for child in psutil.Process().children(recursive=True):
            found.setdefault(child.pid, child)
    return [process for process in found.values() if alive(process)]


def alive(process: Any) -> bool:
    """Tell whether a psutil process still runs; a zombie, which holds nothing but its exit status, not."""
    psutil = importlib.import_module("psutil")
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def memory_of_run() -> Memory:
    """Add up the memory of every process of the measurement this process belongs to."""
    psutil = importlib.import_module("psutil")
    count = uss = pss = 0
    for process in processes_of(os.environ[TOKEN]):
        try:
            info = process.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        count, uss, pss = count + 1, uss + info.uss, pss + getattr(info, "pss", info.uss)
    return Memory(count, uss, pss)


def end_leftovers(token: str, grace: float) -> list[str]:
    """Wait ``grace`` seconds for the processes of a run to end, kill those that have not, and name them."""
    psutil = importlib.import_module("psutil")
    deadline = time.monotonic() + grace
    left = processes_of(token)
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = processes_of(token)
    names = []
    for process in left:
        try:
            names.append(f"{process.name()}[{process.pid}]")
            process.kill()
        except psutil.NoSuchProcess:
            continue
    while any(alive(process) for process in left) and time.monotonic() < deadline + 5.0:
        time.sleep(0.01)
    return names
