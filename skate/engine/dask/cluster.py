"""A Dask cluster of a program's own: a scheduler and one worker in this process, which listen to nobody else.

User code runs in processes of its own (`children.py`), so one worker is enough to use all cores, and what the machine has is counted
in one place.
"""

from __future__ import annotations

import logging
import os

import dask
from distributed import Scheduler, Worker

from skate._memory import machine_memory

_SETTINGS = {
    "distributed.worker.profile.enabled": False,  # a thread that watches what Dask's own threads run: nothing
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
_LOGGERS = ("scheduler", "worker", "core", "batched", "comm", "client", "worker.state_machine")
_NOWHERE = "127.0.0.1:0"


class OwnCluster:
    """A scheduler and a worker, for one session."""

    scheduler: Scheduler
    worker: Worker
    address = ""

    async def start(self, directory: str, threads: int) -> None:
        """Start both."""
        for name in _LOGGERS:
            logger = logging.getLogger(f"distributed.{name}")
            if logger.level in (logging.NOTSET, logging.INFO):
                logger.setLevel(logging.ERROR)  # what they tell is an inner affair here
        with dask.config.set(_SETTINGS):
            self.scheduler = await Scheduler(protocol="inproc", dashboard=False, dashboard_address=_NOWHERE)
            self.scheduler.http_server.stop()
            self.address = self.scheduler.address
            self.worker = await Worker(
                self.address,
                protocol="inproc",
                nthreads=threads,
                memory_limit=0,
                local_directory=directory,
                dashboard=False,
                dashboard_address=_NOWHERE,
            )
            self.worker.http_server.stop()

    async def close(self) -> None:
        """End both."""
        if hasattr(self, "worker"):
            await self.worker.close(timeout=5, executor_wait=False)
        if hasattr(self, "scheduler"):
            await self.scheduler.close(timeout=5)


def cpus() -> int:
    """The CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


def memory() -> int:
    """The bytes of memory that this process may use."""
    return machine_memory()
