"""The same work on ``dask.distributed``: a local cluster of worker processes with a thread each."""

from __future__ import annotations

import importlib
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.core import work
from benchmarks.measure import Measured, check, sample
from benchmarks.session import CPUS, Session

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["bootstrap", "chain", "first_task", "queued", "round_trip", "tree"]


def _start(distributed: Any) -> tuple[Any, Any]:
    cluster = distributed.LocalCluster(
        n_workers=CPUS, threads_per_worker=1, processes=True, dashboard_address=None
    )
    return cluster, distributed.Client(cluster)


@contextmanager
def _client() -> Iterator[Any]:
    cluster, client = _start(importlib.import_module("distributed"))
    try:
        yield client
    finally:
        client.close()
        cluster.close()


def first_task(session: Session) -> dict[str, Measured]:
    """Import, cluster, first result; memory a second later; shutdown."""
    from benchmarks.core.startup import report_startup

    begin = time.perf_counter()
    distributed = importlib.import_module("distributed")
    imported = time.perf_counter()
    cluster, client = _start(distributed)
    got = client.submit(work.identity, 42, pure=False).result()
    first = time.perf_counter()

    def stop() -> None:
        client.close()
        cluster.close()

    return report_startup(begin, imported, first, got, stop)


def round_trip(session: Session) -> dict[str, Measured]:
    """Submit a task and take its result, one after the other."""
    with _client() as client:

        def calls() -> None:
            for _ in range(20):
                client.submit(work.nothing, pure=False).result()

        return {"seconds": Measured(sample(session, calls, items=20))}


def queued(session: Session) -> dict[str, Measured]:
    """Submit 1,000 tasks, then gather all results."""
    with _client() as client:

        def batch() -> None:
            futures = [client.submit(work.nothing, pure=False) for _ in range(work.QUEUED)]
            check(client.gather(futures), [None] * work.QUEUED)

        return {"seconds": Measured(sample(session, batch, items=work.QUEUED, warmups=1))}


def tree(session: Session) -> dict[str, Measured]:
    """The tree, futures as arguments."""
    leaves = session.size(work.LEAVES, 500)
    with _client() as client:

        def grow() -> None:
            level = [client.submit(work.identity, index, pure=False) for index in range(leaves)]
            while len(level) > 1:
                groups = [level[at : at + work.GROUP] for at in range(0, len(level), work.GROUP)]
                level = [client.submit(work.total, *group, pure=False) for group in groups]
            check(level[0].result(), leaves * (leaves - 1) // 2)

        return {"seconds": Measured(sample(session, grow, warmups=0, least=2))}


def chain(session: Session) -> dict[str, Measured]:
    """The chain, futures as arguments."""
    links = session.size(work.LINKS, 200)
    with _client() as client:

        def run() -> None:
            future = client.submit(work.add_one, 0, pure=False)
            for _ in range(links - 1):
                future = client.submit(work.add_one, future, pure=False)
            check(future.result(), links)

        return {"seconds": Measured(sample(session, run, warmups=0, least=2))}


def bootstrap(session: Session) -> dict[str, Measured]:
    """10,000 bootstrap simulations on data scattered once."""
    number = session.size(work.BOOTSTRAPS, 200)
    with _client() as client:

        def run() -> None:
            # A key of its own each time: a hashed one collides with the copy being released.
            data = client.scatter(work.delays(), broadcast=True, hash=False)
            futures = [client.submit(work.simulate, data, seed, pure=False) for seed in range(number)]
            work.check_means(client.gather(futures), number)

        return {"seconds": Measured(sample(session, run, warmups=0, least=2))}
