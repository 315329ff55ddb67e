"""The table of the core suite: every row, and the bars that ours must clear.

Bars are against the peers' figures of the same run on the same machine, never against figures kept here.
"""

from __future__ import annotations

from benchmarks.rows import Against, AtMost, Row, Within

__all__ = ["ROWS"]

_MB = 1e6

ROWS: tuple[Row, ...] = (
    # --- startup ---
    Row(
        "startup.first_task",
        "import, init and the first task's result",
        "startup.first_task",
        "first",
        "s",
        (Against("ray", 20), AtMost(0.2)),
    ),
    Row("startup.import", "import alone", "startup.first_task", "import", "s"),
    Row(
        "startup.shutdown",
        "shutdown",
        "startup.first_task",
        "shutdown",
        "s",
        (Against("ray", 20), AtMost(0.1)),
    ),
    Row("startup.gone", "from shutdown until the last process is gone", "startup.first_task", "gone", "s"),
    Row(
        "startup.memory",
        "memory of all processes after the first task (USS)",
        "startup.first_task",
        "uss",
        "B",
        (Against("ray", 6), AtMost(90 * _MB)),
    ),
    Row(
        "startup.memory_pss",
        "the same, with shared pages counted once (PSS)",
        "startup.first_task",
        "pss",
        "B",
    ),
    # --- tasks ---
    Row(
        "tasks.round_trip",
        "task, round trip",
        "tasks.round_trip",
        "seconds",
        "s",
        (Against("ray", 12), Within(2.5)),
        reference="raw round trip",
    ),
    Row(
        "tasks.queued",
        "1,000 tasks queued, then all results; a task",
        "tasks.queued",
        "seconds",
        "s",
        (Against("ray", 20),),
    ),
    Row(
        "tasks.four_callers",
        "4 callers in workers, 10,000 tasks each; a task",
        "tasks.four_callers",
        "seconds",
        "s",
        (Against("ray", 10),),
    ),
    Row(
        "tasks.tree",
        "10,000 tasks fanned out and summed in a tree",
        "tasks.tree",
        "seconds",
        "s",
        (Against("ray", 10),),
    ),
    Row(
        "tasks.chain",
        "chain of 5,000 dependent tasks",
        "tasks.chain",
        "seconds",
        "s",
        (Against("ray", 10),),
    ),
    # --- actors ---
    Row("actors.round_trip", "actor call, round trip", "actors.plain", "seconds", "s", (Against("ray", 8),)),
    Row(
        "actors.queued",
        "1,000 actor calls queued; a call",
        "actors.plain",
        "queued",
        "s",
        (Against("ray", 15),),
    ),
    Row(
        "actors.threaded",
        "1,000 queued, max_concurrency=16; a call",
        "actors.threaded",
        "queued",
        "s",
        (Against("ray", 12),),
    ),
    Row(
        "actors.async_round_trip",
        "asyncio actor, round trip",
        "actors.asynchronous",
        "seconds",
        "s",
        (Against("ray", 8),),
    ),
    Row(
        "actors.async_queued",
        "asyncio actor, 1,000 queued; a call",
        "actors.asynchronous",
        "queued",
        "s",
        (Against("ray", 12),),
    ),
    Row(
        "actors.many_to_many",
        "4 calling actors on 4 actors; a call",
        "actors.many_to_many",
        "seconds",
        "s",
        (Against("ray", 10),),
    ),
    Row(
        "actors.many_to_many_ref",
        "the same with a ref as argument; a call",
        "actors.many_to_many",
        "with_ref",
        "s",
        (Against("ray", 10),),
    ),
    Row(
        "actors.hundred",
        "100 actors created and answered once",
        "actors.hundred",
        "seconds",
        "s",
        (AtMost(1.0),),
    ),
    Row(
        "actors.hundred_memory",
        "memory of all processes then (USS)",
        "actors.hundred",
        "uss",
        "B",
        (AtMost(1_000 * _MB),),
    ),
    Row(
        "actors.hundred_memory_pss",
        "the same, with shared pages counted once (PSS)",
        "actors.hundred",
        "pss",
        "B",
    ),
    # --- objects ---
    Row("objects.put_small", "put of a small value", "objects.small", "put", "s", (Against("ray", 10),)),
    Row("objects.get_small", "get of a small value", "objects.small", "get", "s", (Against("ray", 5),)),
    Row(
        "objects.wait",
        "wait for 1,000 tasks one by one, in all",
        "objects.wait_one_by_one",
        "seconds",
        "s",
        (Against("ray", 12),),
    ),
    Row(
        "objects.wait_finished",
        "the same when all have finished before",
        "objects.wait_one_by_one",
        "finished",
        "s",
    ),
    Row(
        "objects.holding_refs",
        "get of an object holding 10,000 refs",
        "objects.holding_refs",
        "seconds",
        "s",
        (Against("ray", 4),),
    ),
    Row(
        "objects.put_first",
        "put of an 800 MB array, the first ever",
        "objects.put_large",
        "first",
        "B/s",
        (Against("ray", 1),),
    ),
    Row(
        "objects.put_again",
        "the same again and again, each released",
        "objects.put_large",
        "again",
        "B/s",
        (Within(0.8),),
        reference="plain copy",
    ),
    Row(
        "objects.tasks_putting",
        "10 tasks putting 80 MB each, together",
        "objects.tasks_putting",
        "rate",
        "B/s",
        (Against("ray", 1),),
    ),
    # --- whole jobs ---
    Row("jobs.bootstrap", "10,000 bootstrap simulations, a task each", "jobs.bootstrap", "seconds", "s"),
    # --- what must stay flat ---
    Row(
        "scale.million",
        "a task when 1,000,000 are queued",
        "scale.flat",
        "seconds",
        "s",
        (Within(1.3),),
        reference="cost at 10,000",
        ours_only=True,
    ),
    Row("scale.pending", "memory of a pending task", "scale.pending", "uss", "B", (AtMost(2_000),)),
    Row(
        "scale.idle_actors",
        "task, round trip, beside 1,000 idle actors",
        "scale.idle_actors",
        "seconds",
        "s",
        (Within(1.1),),  # "must not slow a task": a tenth is what the machine's mood takes
        reference="without them",
        ours_only=True,
    ),
)
