"""Asking a session about itself when it has done much."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from benchmarks.core import work
from benchmarks.measure import Measured, check, sample

if TYPE_CHECKING:
    from benchmarks.session import Session

__all__ = ["tasks"]

_SHOWN = 10_000


def tasks(session: Session) -> dict[str, Measured]:
    """List and filter 100,000 tasks that have ended: those of one name, as many as a list may have."""
    number = session.size(100_000, 2_000)
    with session.open() as ray:
        state = importlib.import_module(f"{ray.__name__}.util.state")
        task = ray.remote(work.add_one)
        check(ray.get([task.remote(index) for index in range(number)]), list(range(1, number + 1)))

        def filtered() -> None:
            rows = state.list_tasks(
                filters=[("state", "=", "FINISHED"), ("name", "=", "add_one")],
                limit=_SHOWN,
                raise_on_missing_output=False,
            )
            check(len(rows), min(number, _SHOWN))

        return {"seconds": Measured(sample(session, filtered, warmups=1, least=3))}
