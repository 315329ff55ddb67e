"""The jobs on DuckDB; results are Arrow tables."""

from __future__ import annotations

import importlib
import os
import tempfile
from typing import TYPE_CHECKING, Any

from benchmarks.data.files import TABLES, tpch_folder
from benchmarks.data.jobs import Answer, Peer, measure
from benchmarks.data.tpch import run_all

if TYPE_CHECKING:
    from benchmarks.data.files import Files
    from benchmarks.measure import Measured
    from benchmarks.session import Session

__all__ = ["batches", "group", "join", "read", "shuffle", "sort", "tpch", "write"]

duckdb: Any = Peer("duckdb")


def _table(query: str) -> Any:
    return duckdb.sql(query).to_arrow_table()


def _source(files: Files) -> str:
    return f"'{files.folder}/*.parquet'"


def _sum(table: Any, column: str) -> float:
    compute = importlib.import_module("pyarrow.compute")
    return float(compute.sum(table[column]).as_py())


def _rows_and_sum(table: Any) -> Answer:
    return {"rows": table.num_rows, "a": _sum(table, "a")}


def read(session: Session) -> dict[str, Measured]:
    return measure(session, lambda files: _table(f"select * from {_source(files)}"), _rows_and_sum)


def write(session: Session) -> dict[str, Measured]:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "out.parquet")

        def job(files: Files) -> Any:
            kept = f"select k, a, b * 2 as y from {_source(files)} where a > 0.5"
            duckdb.sql(f"copy ({kept}) to '{path}' (format parquet, compression snappy)")
            return path

        def look(path: str) -> Answer:
            written = _table(f"select * from '{path}'")
            return {"kept": written.num_rows, "kept_y": _sum(written, "y")}

        return measure(session, job, look)


def group(session: Session) -> dict[str, Measured]:
    return measure(
        session,
        lambda files: _table(
            f"select k, sum(a) as a, avg(b) as b from {_source(files)} group by k order by k"
        ),
        lambda found: {"groups": found.num_rows, "a": _sum(found, "a"), "means": _sum(found, "b")},
    )


def sort(session: Session) -> dict[str, Measured]:
    return measure(
        session,
        lambda files: _table(f"select * from {_source(files)} order by a"),
        lambda found: {
            **_rows_and_sum(found),
            "least": found["a"][0].as_py(),
            "most": found["a"][-1].as_py(),
        },
    )


def join(session: Session) -> dict[str, Measured]:
    return measure(
        session,
        lambda files: _table(f"select * from {_source(files)} join '{files.names}' using (k)"),
        lambda found: {**_rows_and_sum(found), "weight": _sum(found, "weight")},
    )


def shuffle(session: Session) -> dict[str, Measured]:
    return measure(
        session, lambda files: _table(f"select * from {_source(files)} order by random()"), _rows_and_sum
    )


def batches(session: Session) -> dict[str, Measured]:
    def job(files: Files) -> Any:
        import numpy as np

        columns = duckdb.sql(f"select a, b from {_source(files)}").fetchnumpy()
        return np.sqrt(columns["a"]) + columns["b"]

    return measure(session, job, lambda found: {"rows": len(found), "root": float(found.sum())})


def tpch(session: Session) -> dict[str, Measured]:
    folder = tpch_folder(session.quick)
    for name in TABLES:
        duckdb.sql(f"create view {name} as select * from '{folder}/{name}.parquet'")
    return run_all(session, lambda query: list(duckdb.sql(query).fetchall()))
