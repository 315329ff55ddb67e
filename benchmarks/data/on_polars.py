"""The jobs on Polars."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

from benchmarks.data.files import TABLES, tpch_folder
from benchmarks.data.jobs import Answer, Peer, measure
from benchmarks.data.tpch import run_all
from benchmarks.measure import Measured, check, sample

if TYPE_CHECKING:
    from benchmarks.data.files import Files
    from benchmarks.session import Session

__all__ = ["batches", "group", "join", "read", "rows", "shuffle", "sort", "tiny", "tpch", "write"]

pl: Any = Peer("polars")


def _rows_and_sum(frame: Any) -> Answer:
    return {"rows": frame.height, "a": frame["a"].sum()}


def _collect(frame: Any) -> Any:
    return frame.collect(engine="streaming")


def read(session: Session) -> dict[str, Measured]:
    return measure(session, lambda files: _collect(pl.scan_parquet(files.parts)), _rows_and_sum)


def write(session: Session) -> dict[str, Measured]:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "out.parquet")

        def job(files: Files) -> Any:
            kept = pl.scan_parquet(files.parts).filter(pl.col("a") > 0.5)
            kept.select("k", "a", y=pl.col("b") * 2).sink_parquet(path, compression="snappy")
            return path

        def look(path: str) -> Answer:
            written = pl.read_parquet(path)
            return {"kept": written.height, "kept_y": written["y"].sum()}

        return measure(session, job, look)


def group(session: Session) -> dict[str, Measured]:
    def job(files: Files) -> Any:
        grouped = pl.scan_parquet(files.parts).group_by("k")
        return _collect(grouped.agg(pl.col("a").sum(), pl.col("b").mean()).sort("k"))

    return measure(
        session, job, lambda found: {"groups": found.height, "a": found["a"].sum(), "means": found["b"].sum()}
    )


def sort(session: Session) -> dict[str, Measured]:
    return measure(
        session,
        lambda files: _collect(pl.scan_parquet(files.parts).sort("a")),
        lambda ordered: {**_rows_and_sum(ordered), "least": ordered["a"][0], "most": ordered["a"][-1]},
    )


def join(session: Session) -> dict[str, Measured]:
    return measure(
        session,
        lambda files: _collect(pl.scan_parquet(files.parts).join(pl.scan_parquet(files.names), on="k")),
        lambda found: {**_rows_and_sum(found), "weight": found["weight"].sum()},
    )


def shuffle(session: Session) -> dict[str, Measured]:
    return measure(
        session,
        lambda files: _collect(pl.scan_parquet(files.parts)).sample(fraction=1.0, shuffle=True),
        _rows_and_sum,
    )


def batches(session: Session) -> dict[str, Measured]:
    def job(files: Files) -> Any:
        import numpy as np

        frame = _collect(pl.scan_parquet(files.parts).select("a", "b"))
        return pl.DataFrame({"y": np.sqrt(frame["a"].to_numpy()) + frame["b"].to_numpy()})

    return measure(session, job, lambda found: {"rows": found.height, "root": found["y"].sum()})


def rows(session: Session) -> dict[str, Measured]:
    number = session.size(1_000_000, 10_000)

    def work() -> Any:
        ids = pl.select(id=pl.int_range(number))
        return ids.map_rows(lambda row: (row[0], row[0] * 2 + 1))

    check(work()["column_1"].sum(), number * number)
    return {"seconds": Measured(sample(session, work, warmups=1, least=2))}


def tiny(session: Session) -> dict[str, Measured]:
    def work() -> Any:
        made = pl.select(id=pl.int_range(1000)).map_rows(lambda row: (row[0], row[0] * 2 + 1))
        return made.rows(named=True)

    check(work()[-1]["column_1"], 1999)
    return {"seconds": Measured(sample(session, work))}


def tpch(session: Session) -> dict[str, Measured]:
    folder = tpch_folder(session.quick)
    frames = {name: pl.scan_parquet(f"{folder}/{name}.parquet") for name in TABLES}
    context = pl.SQLContext(frames=frames, eager=False)
    return run_all(session, lambda query: list(_collect(context.execute(query)).rows()))
