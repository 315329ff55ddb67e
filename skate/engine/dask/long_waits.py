"""A wait that lasts is spoken of once, in the log: who waits, on which line, for what, and what that is doing."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skate.core.ref import INDEX_BITS, PENDING, REMOTE, ObjectRef
from skate.core.user_line import where
from skate.engine.dask.submit import current_task

if TYPE_CHECKING:
    from skate.engine.dask.engine import DaskEngine

WARN_AFTER = 10.0
"""Seconds, unless `_system_config={"wait_warning_seconds": …}` or SKATE_WAIT_WARNING_SECONDS says otherwise."""
_SHOWN = 3
_DOING = {
    "PENDING_ARGS_AVAIL": "waits for its arguments",
    "PENDING_NODE_ASSIGNMENT": "waits for a Dask worker with {resources}",
    "SUBMITTED_TO_WORKER": "waits at its Dask worker for {resources} to be free",
    "RUNNING": "runs in process {pid}",
    "RUNNING_IN_RAY_GET": "waits in process {pid} for results of its own",
}


def warn_after(engine: DaskEngine) -> float:
    """After how many seconds a wait is spoken of."""
    given = engine.config.system_config.get("wait_warning_seconds")
    return float(os.environ.get("SKATE_WAIT_WARNING_SECONDS", WARN_AFTER) if given is None else given)


def warn(engine: DaskEngine, seconds: float, waiting: Sequence[Any]) -> None:
    """Speak of a wait for these refs and generators, as far as they are not there, which has lasted so long.

    What they are doing is asked for in a thread: the wait itself may have a time-out, and must not wait for that answer.
    """
    names = [
        _name(thing) for thing in waiting if type(thing) is not ObjectRef or thing._kind in (PENDING, REMOTE)
    ]
    if not names:
        return
    running = current_task.get()
    who = "the program" if running is None else running.shown
    threading.Thread(
        target=_say, args=(engine, seconds, names, who, where()), name="skate-long-wait", daemon=True
    ).start()


def _name(thing: Any) -> tuple[str, str]:
    """The id of the task that makes it, none for a generator; and how it is shown."""
    if type(thing) is not ObjectRef:
        return "", "a generator"
    return (thing._key >> INDEX_BITS << INDEX_BITS).to_bytes(24, "big").hex(), repr(thing)


def _say(engine: DaskEngine, seconds: float, names: list[tuple[str, str]], who: str, line: str) -> None:
    reasons = _reasons(engine, names[:_SHOWN])
    if engine.ended:
        return  # and so has the wait
    logging.getLogger("skate").warning(
        "%s (pid %d) has waited for %g s for %s, at %s: %s%s. `skate.util.state.list_tasks()` shows what there is.",
        who,
        os.getpid(),
        seconds,
        f"{len(names)} results" if len(names) > 1 else "a result",
        line,
        "; ".join(reasons),
        f"; and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "",
    )


def _reasons(engine: DaskEngine, names: list[tuple[str, str]]) -> list[str]:
    try:
        rows = {row["task_id"]: row for row in engine.state("tasks", 5.0).rows}
    except Exception as error:  # the remark is made all the same, and says so
        return [f"the session does not say what it does: {error}"]
    return [_reason(task_id, shown, rows) for task_id, shown in names]


def _reason(task_id: str, shown: str, rows: dict[str, dict[str, Any]]) -> str:
    if not task_id:
        return shown
    row = rows.get(task_id)
    if row is None:
        return f"{shown}, which no task here makes"
    doing = _DOING.get(row["state"], f"is {row['state']}")
    return f"{row['name']} {doing.format(resources=row['required_resources'], pid=row['worker_pid'])}"
