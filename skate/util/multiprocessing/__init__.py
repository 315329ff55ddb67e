"""`multiprocessing.Pool` on actors, with the names of `ray.util.multiprocessing`."""

from __future__ import annotations

from multiprocessing import JoinableQueue, TimeoutError

from skate.util.multiprocessing.pool import Pool

__all__ = ["JoinableQueue", "Pool", "TimeoutError"]
