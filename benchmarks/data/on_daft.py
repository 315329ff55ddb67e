"""The jobs on Daft."""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING, Any

from benchmarks.data.jobs import Answer, Peer, measure

if TYPE_CHECKING:
    from benchmarks.data.files import Files
    from benchmarks.measure import Measured
    from benchmarks.session import Session

__all__ = ["batches", "group", "join", "read", "sort", "write"]

daft: Any = Peer("daft")


def _read(files: Files) -> Any:
    return daft.read_parquet(f"{files.folder}/*.parquet")


def _sums(frame: Any, **columns: str) -> Answer:
    sums = [daft.col(column).sum().alias(name) for name, column in columns.items()]
    found = frame.agg(*sums).to_pydict()
    return {name: found[name][0] for name in columns}


def _rows_and_sum(frame: Any) -> Answer:
    return {"rows": frame.count_rows(), **_sums(frame, a="a")}


def read(session: Session) -> dict[str, Measured]:
    return measure(session, lambda files: _read(files).collect(), _rows_and_sum)


def write(session: Session) -> dict[str, Measured]:
    folder = tempfile.mkdtemp(prefix="bench-data-")

    def job(files: Files) -> Any:
        kept = _read(files).where(daft.col("a") > 0.5)
        kept.select("k", "a", (daft.col("b") * 2).alias("y")).write_parquet(folder, write_mode="overwrite")
        return daft.read_parquet(f"{folder}/*.parquet")

    try:
        return measure(session, job, lambda w: {"kept": w.count_rows(), **_sums(w, kept_y="y")})
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def group(session: Session) -> dict[str, Measured]:
    def job(files: Files) -> Any:
        grouped = _read(files).groupby("k").agg(daft.col("a").sum(), daft.col("b").mean())
        return grouped.sort("k").collect()

    return measure(session, job, lambda f: {"groups": f.count_rows(), **_sums(f, a="a", means="b")})


def sort(session: Session) -> dict[str, Measured]:
    def look(frame: Any) -> Answer:
        return {**_rows_and_sum(frame), "least": frame.limit(1).to_pydict()["a"][0]}

    return measure(session, lambda files: _read(files).sort("a").collect(), look)


def join(session: Session) -> dict[str, Measured]:
    return measure(
        session,
        lambda files: _read(files).join(daft.read_parquet(files.names), on="k").collect(),
        lambda found: {**_rows_and_sum(found), **_sums(found, weight="weight")},
    )


def batches(session: Session) -> dict[str, Measured]:
    import numpy as np

    @daft.func.batch(return_dtype=daft.DataType.float64())  # type: ignore[untyped-decorator]
    def root(a: Any, b: Any) -> Any:
        return np.sqrt(a.to_arrow().to_numpy()) + b.to_arrow().to_numpy()

    return measure(
        session,
        lambda files: _read(files).select(root(daft.col("a"), daft.col("b")).alias("y")).collect(),
        lambda found: {"rows": found.count_rows(), **_sums(found, root="y")},
    )
