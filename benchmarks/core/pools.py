"""The pool that stands in for the standard one, beside it."""

from __future__ import annotations

import importlib
import multiprocessing
from typing import TYPE_CHECKING, Any

from benchmarks.core import work
from benchmarks.measure import Measured, check, sample_in_turns
from benchmarks.session import CPUS

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.session import Session

__all__ = ["pool_map"]


def pool_map(session: Session) -> dict[str, Measured]:
    """Map a trivial function over 100,000 numbers."""
    number = session.size(100_000, 2_000)
    # The standard pool's processes are forked first, while this one has a single thread.
    with multiprocessing.get_context("fork").Pool(CPUS) as standard, session.open() as ray:
        pools = importlib.import_module(f"{ray.__name__}.util.multiprocessing")
        with pools.Pool(CPUS) as pool:

            def run(one: Any) -> Callable[[], None]:
                return lambda: check(one.map(work.add_one, range(number)), list(range(1, number + 1)))

            seconds, reference = sample_in_turns(session, [run(pool), run(standard)])
    return {"seconds": Measured(seconds, reference)}
