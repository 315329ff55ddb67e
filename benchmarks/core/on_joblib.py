"""The same work on joblib, with its default back end and its default batching."""

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

__all__ = ["bootstrap", "first_task", "queued", "round_trip", "tree"]


def first_task(session: Session) -> dict[str, Measured]:
    """Import, first result; memory a second later; shutdown."""
    from benchmarks.core.startup import report_startup

    begin = time.perf_counter()
    joblib = importlib.import_module("joblib")
    imported = time.perf_counter()
    got = joblib.Parallel(n_jobs=CPUS)(joblib.delayed(work.identity)(value) for value in (42, 42))[0]
    return report_startup(begin, imported, time.perf_counter(), got, lambda: _stop(wait=True))


def _stop(wait: bool) -> None:
    importlib.import_module("joblib.externals.loky").get_reusable_executor().shutdown(wait=wait)


@contextmanager
def _parallel() -> Iterator[tuple[Any, Any]]:
    joblib = importlib.import_module("joblib")
    try:
        with joblib.Parallel(n_jobs=CPUS) as parallel:
            yield parallel, joblib.delayed
    finally:
        _stop(wait=True)


def round_trip(session: Session) -> dict[str, Measured]:
    """One call at a time through a pool kept open."""
    with _parallel() as (parallel, delayed):

        def calls() -> None:
            for _ in range(20):
                parallel([delayed(work.nothing)()])

        return {"seconds": Measured(sample(session, calls, items=20, least=10))}


def queued(session: Session) -> dict[str, Measured]:
    """1,000 calls at once."""
    with _parallel() as (parallel, delayed):

        def batch() -> None:
            check(parallel(delayed(work.nothing)() for _ in range(work.QUEUED)), [None] * work.QUEUED)

        return {"seconds": Measured(sample(session, batch, items=work.QUEUED))}


def tree(session: Session) -> dict[str, Measured]:
    """The tree, level by level: results pass through the driver."""
    leaves = session.size(work.LEAVES, 500)
    with _parallel() as (parallel, delayed):

        def grow() -> None:
            level = parallel(delayed(work.identity)(index) for index in range(leaves))
            while len(level) > 1:
                groups = [level[at : at + work.GROUP] for at in range(0, len(level), work.GROUP)]
                level = parallel(delayed(work.total)(*group) for group in groups)
            check(level[0], leaves * (leaves - 1) // 2)

        return {"seconds": Measured(sample(session, grow, warmups=1, least=2))}


def bootstrap(session: Session) -> dict[str, Measured]:
    """10,000 bootstrap simulations."""
    number = session.size(work.BOOTSTRAPS, 200)
    data = work.delays()
    with _parallel() as (parallel, delayed):

        def run() -> None:
            work.check_means(parallel(delayed(work.simulate)(data, seed) for seed in range(number)), number)

        return {"seconds": Measured(sample(session, run, warmups=1, least=2))}
