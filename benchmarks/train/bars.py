"""The table of the training suite: every row, and the bars that ours must clear."""

from __future__ import annotations

from benchmarks.rows import AtMost, Row

__all__ = ["ROWS"]

ROWS: tuple[Row, ...] = (
    Row(
        "gloo.cold",
        "two workers, one all-reduce and one report, from fit to the result, PyTorch not yet imported",
        "gloo.reduce",
        "cold",
        "s",
        (AtMost(1.6),),
    ),
    Row(
        "gloo.warm",
        "the same, in a session whose processes have imported PyTorch",
        "gloo.reduce",
        "warm",
        "s",
        (AtMost(0.5),),
    ),
)
