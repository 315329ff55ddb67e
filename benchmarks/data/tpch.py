"""The 22 queries of TPC-H, one after the other; subqueries that look at the row around them are written as joins."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.data.files import TABLES, tpch_folder
from benchmarks.measure import Measured

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.session import Session

__all__ = ["answers_agree", "queries", "run_all", "tpch"]

Rows = list[tuple[Any, ...]]


def queries() -> dict[int, str]:
    """The queries by number."""
    text = Path(__file__).with_suffix(".sql").read_text()
    found = re.findall(r"^-- (\d+)\n(.*?)(?=^-- \d+\n|\Z)", text, re.DOTALL | re.MULTILINE)
    return {int(number): query.strip() for number, query in found}


def answers_agree(one: Rows, two: Rows) -> bool:
    """Whether two answers are the same, numbers up to their last digits."""
    return len(one) == len(two) and all(
        len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))
        for a, b in zip(one, two, strict=True)
    )


def _equal(one: Any, two: Any) -> bool:
    if hasattr(one, "as_integer_ratio") and hasattr(two, "as_integer_ratio"):
        return math.isclose(one, two, rel_tol=1e-6, abs_tol=1e-4)
    return str(one)[:10] == str(two)[:10] if hasattr(one, "isoformat") else bool(one == two)


def run_all(session: Session, answer: Callable[[str], Rows]) -> dict[str, Measured]:
    """The seconds that all queries take, after a first time that does not count."""
    wanted = queries()
    for query in wanted.values():
        answer(query)
    totals = []
    for _ in range(1 if session.quick else 3):
        start = time.perf_counter()
        for query in wanted.values():
            answer(query)
        totals.append(time.perf_counter() - start)
    return {"seconds": Measured(totals)}


def tpch(session: Session) -> dict[str, Measured]:
    """By `Dataset.sql`, over files that are read anew each time. Ray Data has no SQL."""
    import skate.data

    folder = tpch_folder(session.quick)
    tables = {name: skate.data.read_parquet(f"{folder}/{name}.parquet") for name in TABLES}

    def answer(query: str) -> Rows:
        rows = tables["lineitem"].sql(query, **tables).take_all()
        return [tuple(row.values()) for row in rows]

    return run_all(session, answer)
