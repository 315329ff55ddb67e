"""Whole jobs, as users write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.core import work
from benchmarks.measure import Measured, sample

if TYPE_CHECKING:
    from benchmarks.session import Session

__all__ = ["bootstrap"]


def bootstrap(session: Session) -> dict[str, Measured]:
    """10,000 bootstrap simulations of a mean, a task each, on data put once."""
    number = session.size(work.BOOTSTRAPS, 200)
    with session.open() as ray:
        simulate = ray.remote(work.simulate)

        def run() -> None:
            data = ray.put(work.delays())
            work.check_means(ray.get([simulate.remote(data, seed) for seed in range(number)]), number)

        return {"seconds": Measured(sample(session, run, warmups=1, least=2))}
