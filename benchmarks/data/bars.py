"""The table of the data suite: every row, and the bars that ours must clear."""

from __future__ import annotations

from benchmarks.rows import Against, AtMost, Bar, LikeFastest, Row, WithinBest

__all__ = ["ROWS"]

_PEERS = ("polars", "duckdb", "daft", "pandas")


def _rows_of(name: str, title: str, benchmark: str, bars: tuple[Bar, ...]) -> tuple[Row, ...]:
    """A job's time, its memory, and its time on the small set."""
    area = name.partition(".")[0]
    return (
        Row(name, f"{title}, 20 million rows", benchmark, "seconds", "s", bars),
        Row(f"memory{name.removeprefix(area)}", "its peak memory", benchmark, "memory", "B", (LikeFastest(name, 1.25),)),
        Row(f"small{name.removeprefix(area)}", f"{title}, 20,000 rows, warm", benchmark, "small", "s", (AtMost(0.02),)),
    )  # fmt: skip


def _capped(name: str, title: str) -> tuple[Row, ...]:
    """Work on a set five times larger than the memory that it may use: its peak and its time."""
    benchmark = f"capped.{name}"
    return (
        Row(f"capped.{name}", f"{title}, 5.1 GB under 1 GB: peak", benchmark, "memory", "B", (AtMost(1e9),), ours_only=True),
        Row(f"capped.{name}_time", "its time", benchmark, "seconds", "s", ours_only=True),
    )  # fmt: skip


_RELATIONAL: tuple[Bar, ...] = (Against("ray", 10), WithinBest(1.25, _PEERS))

ROWS: tuple[Row, ...] = (
    *_rows_of("large.read", "read all columns", "relational.read", _RELATIONAL),
    *_rows_of("large.write", "filter, project and write", "relational.write", _RELATIONAL),
    *_rows_of("large.group", "sum and mean of 10,000 groups", "relational.group", _RELATIONAL),
    *_rows_of("large.sort", "sort by a float", "relational.sort", _RELATIONAL),
    *_rows_of("large.join", "join with 10,000 rows", "relational.join", _RELATIONAL),
    *_rows_of("large.shuffle", "random order", "relational.shuffle", (Against("ray", 3),)),
    *_rows_of(
        "large.batches",
        "a NumPy function over batches",
        "functions.batches",
        (Against("ray", 8), WithinBest(1.25, _PEERS)),
    ),
    Row(
        "rows.map",
        "a Python function over each of a million rows",
        "functions.rows",
        "seconds",
        "s",
        (Against("ray", 6), WithinBest(1.0, ("polars",))),
    ),
    Row(
        "rows.tiny",
        "range(1000).map(f).take_all(), warm",
        "functions.tiny",
        "seconds",
        "s",
        (AtMost(0.005),),
    ),
    Row(
        "sql.tpch",
        "the 22 queries of TPC-H at scale factor 1",
        "tpch.tpch",
        "seconds",
        "s",
        (WithinBest(1.3, ("polars", "duckdb")),),
        ours_only=True,  # Ray Data has no SQL
    ),
    *_capped("sort", "sort by a float"),
    *_capped("group", "sums of 10,000 groups"),
    *_capped("groups", "sums of 20 million groups"),
    *_capped("join", "join with 10,000 rows"),
    *_capped("large_join", "join with 20 million rows"),
    *_capped("shuffle", "random order"),
    *_capped("batches", "a NumPy function over batches"),
    *_capped("blocks", "repartition into 64 blocks"),
    *_capped("keys", "repartition by a key"),
    *_capped("zip", "zip with its own columns"),
)
