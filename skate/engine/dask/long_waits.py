"""A wait that lasts is spoken of once, in the log: who waits, on which line, for what, and what that is doing."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skate import exceptions
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
    """Speak of a wait for these refs and generators, as far as they are not there, which has lasted so long."""
    waiting = [thing for thing in waiting if type(thing) is not ObjectRef or thing._kind in (PENDING, REMOTE)]
    running = current_task.get()
    who = "the program" if running is None else running.shown
    what = f"{len(waiting)} results" if len(waiting) > 1 else "a result"
    more = f"; and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
    logging.getLogger("skate").warning(
        "%s (pid %d) has waited for %g s for %s, at %s: %s%s. `skate.util.state.list_tasks()` shows what there is.",
        who,
        os.getpid(),
        seconds,
        what,
        where(),
        "; ".join(_reasons(engine, waiting[:_SHOWN])),
        more,
    )


def _reasons(engine: DaskEngine, waiting: Sequence[Any]) -> list[str]:
    try:
        rows = {row["task_id"]: row for row in engine.state("tasks", 5.0).rows}
    except exceptions.RaySystemError as error:
        return [f"the session does not say what it does: {error}"]
    return [_reason(thing, rows) for thing in waiting]


def _reason(thing: Any, rows: dict[str, dict[str, Any]]) -> str:
    if type(thing) is not ObjectRef:
        return "a generator"
    task_id = (thing._key >> INDEX_BITS << INDEX_BITS).to_bytes(24, "big").hex()
    row = rows.get(task_id)
    if row is None:
        return f"{thing!r}, which no task here makes"
    doing = _DOING.get(row["state"], f"is {row['state']}")
    return f"{row['name']} {doing.format(resources=row['required_resources'], pid=row['worker_pid'])}"
