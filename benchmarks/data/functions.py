"""Users' functions over batches and rows, by the API that Skate and Ray share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.data.jobs import measure
from benchmarks.data.relational import opened
from benchmarks.measure import Measured, check, sample

if TYPE_CHECKING:
    from benchmarks.session import Session

__all__ = ["batches", "rows", "tiny"]


def _root(batch: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    return {"y": np.sqrt(batch["a"]) + batch["b"]}


def batches(session: Session) -> dict[str, Measured]:
    """A NumPy function over two columns, in batches."""
    with opened(session) as data:
        return measure(
            session,
            lambda files: (
                data.read_parquet(files.folder, columns=["a", "b"]).map_batches(_root).materialize()
            ),
            lambda found: {"rows": found.count(), "root": found.sum("y")},
        )


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "y": row["id"] * 2 + 1}


def rows(session: Session) -> dict[str, Measured]:
    """A Python function over each row of a range."""
    number = session.size(1_000_000, 10_000)
    with opened(session) as data:

        def work() -> Any:
            return data.range(number).map(_row).materialize()

        check(work().sum("y"), number * number)
        return {"seconds": Measured(sample(session, work, warmups=1, least=2))}


def tiny(session: Session) -> dict[str, Measured]:
    """A function over each of 1,000 rows, and all of them taken."""
    with opened(session) as data:

        def work() -> Any:
            return data.range(1000).map(_row).take_all()

        check(work()[-1], {"id": 999, "y": 1999})
        return {"seconds": Measured(sample(session, work))}
