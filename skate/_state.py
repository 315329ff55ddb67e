"""Asking a session about itself: the running one of this process, or another of this user's on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from skate.core import runtime

if TYPE_CHECKING:
    from skate.engine.base import StateAnswer


def read_log(row: dict[str, Any], start: int = 0) -> tuple[bytes, int]:
    """What a file that "logs" lists holds from byte `start` on, and where the next reading begins; nothing if it is gone.

    Args:
        row: A row of "logs".
        start: Where to begin.
    """
    if row["path"]:
        from skate.engine.logfiles import read_from

        return read_from(row["path"], start)
    if runtime.engine is None:
        return b"", start  # its session has ended since
    return runtime.engine.read_log(row["node_id"], row["filename"], start)


def read(
    what: str, address: str | None = None, timeout: float = 30.0, *, drivers_only: bool = False
) -> StateAnswer:
    """All rows of a kind, unfiltered; `Engine.state` says which kinds there are.

    Args:
        what: "tasks", "actors", …
        address: The session's name or folder; None is this process's own, or else the youngest of this user's.
        timeout: Seconds to wait for an answer.
        drivers_only: Of "jobs", only the programs that are in the session now, and not those that were submitted to it.

    Raises:
        ConnectionError: there is no such session.
    """
    engine = runtime.engine
    if engine is not None and (
        address in (None, "", "auto", "local", engine.address) or address == engine.task_info().session_name
    ):
        answer = engine.state(what, timeout)
        session = engine.task_info().session_dir if engine.name == "local" else ""
    else:
        from skate.engine.local import observe, session_folder

        answer = observe(what, address, timeout)
        session = session_folder(address) if what == "jobs" else ""
    if (
        what == "jobs"
        and session
        and not drivers_only
        and os.path.exists(os.path.join(session, "jobs", "socket"))
    ):
        from skate.job_submission import JobSubmissionClient

        rows = [job.model_dump() for job in JobSubmissionClient(session).list_jobs()]
        return answer._replace(
            rows=[{**row, "type": row["type"].value, "status": row["status"].value} for row in rows]
        )
    return answer
