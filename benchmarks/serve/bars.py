"""The table of the serving suite: every row, and the bars that ours must clear."""

from __future__ import annotations

from benchmarks.rows import Against, AtMost, Row, Within

__all__ = ["ROWS"]

ROWS: tuple[Row, ...] = (
    Row(
        "http.one",
        "a no-op over HTTP, 1 connection: seconds a request",
        "http.coroutine",
        "one",
        "s",
        (Within(2.0),),
        reference="uvicorn",
    ),
    Row(
        "http.many",
        "the same, 32 connections",
        "http.coroutine",
        "many",
        "s",
        (Within(2.0),),
        reference="uvicorn",
    ),
    Row("http.plain", "a no-op that is no coroutine, 32 connections", "http.plain", "many", "s"),
    Row(
        "http.composed",
        "a deployment that calls another, 1 connection",
        "http.composed",
        "one",
        "s",
        (Against("ray", 20),),
    ),
    Row("http.composed32", "the same, 32 connections", "http.composed", "many", "s", (Against("ray", 20),)),
    Row(
        "http.batched",
        "a trivial model in batches of 10 ms, 32 connections",
        "http.batched",
        "many",
        "s",
        (AtMost(1 / 3300),),
    ),
    Row(
        "handle.roundtrip",
        "a call of a handle and its answer",
        "handle.calls",
        "one",
        "s",
        (Against("ray", 15),),
    ),
    Row("handle.flight", "one of 1,000 calls in flight", "handle.calls", "many", "s", (Against("ray", 15),)),
    Row(
        "endurance.aborts",
        "until none of 1,000 requests runs any more whose clients have gone",
        "endurance.aborts",
        "ended",
        "s",
        (AtMost(1.0),),
    ),
    Row(
        "endurance.idle",
        "memory of all processes with 10,000 idle keep-alive connections (USS)",
        "endurance.idle",
        "uss",
        "B",
        (AtMost(500e6),),
    ),
    Row(
        "endurance.growth",
        "memory that a million requests leave behind (USS)",
        "endurance.growth",
        "uss",
        "B",
        (AtMost(10e6),),
    ),
    Row(
        "start.answer",
        "from serve.run to the first answer, in a session that runs",
        "http.coroutine",
        "start",
        "s",
        (AtMost(0.5),),
    ),
)
