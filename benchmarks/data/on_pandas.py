"""The jobs on pandas."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

from benchmarks.data.jobs import Answer, Peer, measure
from benchmarks.measure import Measured, check, sample

if TYPE_CHECKING:
    from benchmarks.data.files import Files
    from benchmarks.session import Session

__all__ = ["batches", "group", "join", "read", "rows", "shuffle", "sort", "write"]

pd: Any = Peer("pandas")


def _read(files: Files, columns: list[str] | None = None) -> Any:
    return pd.read_parquet(files.folder, columns=columns)


def _rows_and_sum(frame: Any) -> Answer:
    return {"rows": len(frame), "a": frame["a"].sum()}


def read(session: Session) -> dict[str, Measured]:
    return measure(session, _read, _rows_and_sum)


def write(session: Session) -> dict[str, Measured]:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "out.parquet")

        def job(files: Files) -> Any:
            frame = _read(files, ["k", "a", "b"])
            kept = frame[frame["a"] > 0.5]
            kept.assign(y=kept["b"] * 2)[["k", "a", "y"]].to_parquet(path, index=False)
            return path

        def look(path: str) -> Answer:
            written = pd.read_parquet(path)
            return {"kept": len(written), "kept_y": written["y"].sum()}

        return measure(session, job, look)


def group(session: Session) -> dict[str, Measured]:
    return measure(
        session,
        lambda files: _read(files, ["k", "a", "b"]).groupby("k").agg({"a": "sum", "b": "mean"}),
        lambda found: {"groups": len(found), "a": found["a"].sum(), "means": found["b"].sum()},
    )


def sort(session: Session) -> dict[str, Measured]:
    return measure(
        session,
        lambda files: _read(files).sort_values("a"),
        lambda found: {**_rows_and_sum(found), "least": found["a"].iloc[0], "most": found["a"].iloc[-1]},
    )


def join(session: Session) -> dict[str, Measured]:
    return measure(
        session,
        lambda files: _read(files).merge(pd.read_parquet(files.names), on="k"),
        lambda found: {**_rows_and_sum(found), "weight": found["weight"].sum()},
    )


def shuffle(session: Session) -> dict[str, Measured]:
    return measure(session, lambda files: _read(files).sample(frac=1), _rows_and_sum)


def batches(session: Session) -> dict[str, Measured]:
    def job(files: Files) -> Any:
        import numpy as np

        frame = _read(files, ["a", "b"])
        return np.sqrt(frame["a"]) + frame["b"]

    return measure(session, job, lambda found: {"rows": len(found), "root": found.sum()})


def rows(session: Session) -> dict[str, Measured]:
    number = session.size(1_000_000, 10_000)

    def work() -> Any:
        ids = pd.DataFrame({"id": range(number)})
        return ids.apply(lambda row: {"id": row["id"], "y": row["id"] * 2 + 1}, axis=1, result_type="expand")

    check(int(work()["y"].sum()), number * number)
    return {"seconds": Measured(sample(session, work, warmups=1, least=1, seconds=0.0))}
