"""The same work on ``concurrent.futures.ProcessPoolExecutor``."""

from __future__ import annotations

import time

from benchmarks.core import work
from benchmarks.measure import Measured, check, sample
from benchmarks.session import CPUS, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor
    from typing import Any

__all__ = ["bootstrap", "chain", "first_task", "queued", "round_trip", "tree"]


def first_task(session: Session) -> dict[str, Measured]:
    """Import, pool, first result; memory a second later; shutdown."""
    from benchmarks.core.startup import report_startup

    begin = time.perf_counter()
    from concurrent.futures import ProcessPoolExecutor

    imported = time.perf_counter()
    pool = ProcessPoolExecutor(CPUS)
    got = pool.submit(work.identity, 42).result()
    return report_startup(begin, imported, time.perf_counter(), got, pool.shutdown)


def _pool(**options: Any) -> ProcessPoolExecutor:
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(CPUS, **options)


def round_trip(session: Session) -> dict[str, Measured]:
    """Submit a task and take its result, one after the other."""
    with _pool() as pool:

        def calls() -> None:
            for _ in range(100):
                pool.submit(work.nothing).result()

        return {"seconds": Measured(sample(session, calls, items=100, least=10))}


def queued(session: Session) -> dict[str, Measured]:
    """Submit 1,000 tasks, then take all results."""
    with _pool() as pool:

        def batch() -> None:
            futures = [pool.submit(work.nothing) for _ in range(work.QUEUED)]
            check([future.result() for future in futures], [None] * work.QUEUED)

        return {"seconds": Measured(sample(session, batch, items=work.QUEUED))}


def tree(session: Session) -> dict[str, Measured]:
    """The tree, level by level: futures cannot be arguments, so results pass through the driver."""
    leaves = session.size(work.LEAVES, 500)
    with _pool() as pool:

        def grow() -> None:
            futures = [pool.submit(work.identity, index) for index in range(leaves)]
            level = [future.result() for future in futures]
            while len(level) > 1:
                groups = [level[at : at + work.GROUP] for at in range(0, len(level), work.GROUP)]
                level = [future.result() for future in [pool.submit(work.total, *group) for group in groups]]
            check(level[0], leaves * (leaves - 1) // 2)

        return {"seconds": Measured(sample(session, grow, warmups=1, least=2))}


def chain(session: Session) -> dict[str, Measured]:
    """The chain, one result at a time."""
    links = session.size(work.LINKS, 200)
    with _pool() as pool:

        def run() -> None:
            value = 0
            for _ in range(links):
                value = pool.submit(work.add_one, value).result()
            check(value, links)

        return {"seconds": Measured(sample(session, run, warmups=1, least=2))}


def bootstrap(session: Session) -> dict[str, Measured]:
    """10,000 bootstrap simulations, the data handed to each worker as it starts."""
    number = session.size(work.BOOTSTRAPS, 200)
    with _pool(initializer=_keep, initargs=(work.delays(),)) as pool:

        def run() -> None:
            futures = [pool.submit(_simulate_kept, seed) for seed in range(number)]
            work.check_means([future.result() for future in futures], number)

        return {"seconds": Measured(sample(session, run, warmups=1, least=2))}


_kept: Any = None


def _keep(data: Any) -> None:
    global _kept
    _kept = data


def _simulate_kept(seed: int) -> float:
    return work.simulate(_kept, seed)
