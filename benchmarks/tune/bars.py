"""The table of the search suite: every row, and the bars that ours must clear."""

from __future__ import annotations

from benchmarks.rows import Against, AtMost, Row, Within

__all__ = ["ROWS"]

_MB = 1e6

ROWS: tuple[Row, ...] = (
    Row(
        "search.trivial",
        "100 trials of a trivial function, two at a time, from the import to the results",
        "search.trivial",
        "seconds",
        "s",
        (Against("ray", 50), AtMost(1.0)),
    ),
    Row(
        "search.memory",
        "the most memory that the driver of these held",
        "search.trivial",
        "memory",
        "B",
        (AtMost(250 * _MB),),
    ),
    Row(
        "search.asha",
        "ASHA, 32 trials of up to 10 reports",
        "search.asha",
        "seconds",
        "s",
        (Against("ray", 30), AtMost(0.6)),
    ),
    Row(
        "search.growth",
        "a trial's cost in a search of 5,000",
        "search.growth",
        "seconds",
        "s",
        (Within(1.2),),
        reference="a trial in a search of 500",
        ours_only=True,
    ),
)
