"""A picture of what ran where and when, as a file that Perfetto and chrome://tracing open."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from skate import _state
from skate.core import runtime

Event = dict[str, Any]


def timeline(filename: str | None = None) -> list[Event] | None:
    """Every task and actor call that has run, as events of a Chrome trace: a row for each worker.

    Open the file with https://ui.perfetto.dev or chrome://tracing. Blocks marked by `skate.util.profile` are there too.

    Args:
        filename: Where to write it; None returns the events.

    Raises:
        ConnectionError: no session runs.
        OSError: the file can't be written.

    Example:
        >>> import skate
        >>> @skate.remote
        ... def work() -> int:
        ...     return 1
        >>> with skate.init(num_cpus=1, ignore_reinit_error=True):
        ...     done = skate.get(work.remote())
        ...     names = [event["name"] for event in skate.timeline() or ()]
        >>> "work" in names
        True
    """
    events = trace(_state.read("events").rows)
    if filename is None:
        return events
    import json

    with open(filename, "w") as file:
        json.dump(events, file)
    return None


def trace(rows: list[dict[str, Any]]) -> list[Event]:
    """Rows of `Engine.state("events")` as events of a Chrome trace; times in microseconds."""
    events: list[Event] = []
    threads: dict[str, tuple[int, int]] = {}
    now = time.time()
    for row in rows:
        worker = row["worker_id"] or "unknown"
        ids = threads.get(worker)
        if ids is None:
            ids = threads[worker] = (1, len(threads) + 1)
            events.append(_name("thread_name", ids, f"worker:{worker[-8:]} pid={row['worker_pid']}"))
            if len(threads) == 1:
                events.append(_name("process_name", ids, "node:127.0.0.1"))
        start, micros = row.get("exact") or (row["start_time_ms"] / 1000, None)
        if micros is None:
            end = row["end_time_ms"]
            micros = ((end / 1000 if end else now) - start) * 1e6
        profile = row["type"] == "PROFILE"
        category = row["name"] if profile else f"task::{row['func_or_class_name']}"
        about = {"task_id": row["task_id"], "worker_id": worker}
        if profile:
            about.update(row["extra"] or {})
        else:
            about.update(state=row["state"], attempt=row["attempt_number"], actor_id=row["actor_id"])
        event = {"cat": category, "name": row["name"], "ph": "X", "ts": start * 1e6, "dur": max(0, micros)}
        event.update(pid=ids[0], tid=ids[1], args=about)
        if row.get("state") == "FAILED":
            event["cname"] = "terrible"
        events.append(event)
    return events


def _name(what: str, ids: tuple[int, int], name: str) -> Event:
    return {"ph": "M", "name": what, "pid": ids[0], "tid": ids[1], "args": {"name": name}}


@contextmanager
def profile(event_type: str, extra_data: dict[str, Any] | None = None) -> Iterator[None]:
    """Mark a block of a task, an actor or the program, for `timeline`.

    Args:
        event_type: What it is called there.
        extra_data: What is shown with it, by name.

    Example:
        >>> from skate.util import profile
        >>> with profile("load", {"file": "a.csv"}):
        ...     rows = [1, 2, 3]
    """
    started = time.monotonic()
    try:
        yield
    finally:
        engine = runtime.engine
        if engine is not None:
            extra = {
                str(name): value if type(value) in _PLAIN else repr(value)
                for name, value in (extra_data or {}).items()
            }
            engine.add_span(event_type, started, time.monotonic(), extra)


_PLAIN = (str, int, float, bool, type(None))
"""What every engine can keep and JSON can hold; other values are shown as text."""
