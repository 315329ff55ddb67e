"""The Dask engine next to plain Dask: the same tasks, in turns, in one process, each on a cluster of its own."""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.core import work
from benchmarks.measure import Measured, check, sample_in_turns
from benchmarks.session import CPUS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.session import Session

__all__ = ["queued", "round_trip"]


@contextmanager
def _both(session: Session) -> Iterator[tuple[Any, Any]]:
    """Our module on the Dask engine, and a client of plain Dask with as many workers."""
    distributed = importlib.import_module("distributed")
    ray = session.load()
    with (
        distributed.LocalCluster(
            n_workers=CPUS, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        ray.init(engine="dask", num_cpus=CPUS)
        try:
            yield ray, client
        finally:
            ray.shutdown()


def round_trip(session: Session) -> dict[str, Measured]:
    """Call a task and get its result, one after the other."""
    with _both(session) as (ray, client):
        nothing = ray.remote(work.nothing)

        def ours() -> None:
            for _ in range(20):
                ray.get(nothing.remote())

        def plain() -> None:
            for _ in range(20):
                client.submit(work.nothing, pure=False).result()

        mine, reference = sample_in_turns(session, [ours, plain], items=20, least=3)
    return {"seconds": Measured(mine, reference)}


def queued(session: Session) -> dict[str, Measured]:
    """Queue 1,000 tasks, then get them all."""
    number = session.size(work.QUEUED, 100)
    with _both(session) as (ray, client):
        nothing = ray.remote(work.nothing)

        def ours() -> None:
            check(ray.get([nothing.remote() for _ in range(number)]), [None] * number)

        def plain() -> None:
            futures = [client.submit(work.nothing, pure=False) for _ in range(number)]
            check(client.gather(futures), [None] * number)

        mine, reference = sample_in_turns(session, [ours, plain], items=number, least=3)
    return {"seconds": Measured(mine, reference)}
