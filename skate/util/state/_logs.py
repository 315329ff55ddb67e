"""What workers have printed, as it is kept in the session's folder."""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Generator
from typing import Any

from skate import _state
from skate.util.state.common import DEFAULT_RPC_TIMEOUT
from skate.util.state.exception import RayStateApiException

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def list_logs(
    address: str | None = None,
    node_id: str | None = None,
    node_ip: str | None = None,
    glob_filter: str | None = None,
    timeout: int = DEFAULT_RPC_TIMEOUT,
) -> dict[str, list[str]]:
    """The files that workers' output is kept in, by kind: "worker_out" and "worker_err".

    Args:
        address: A session's name or folder; default: this process's, or the youngest of this user's.
        node_id: A machine; there is one, and it is the default.
        node_ip: As `node_id`, by address.
        glob_filter: A pattern that names must match, such as "*.err".
        timeout: Seconds to wait for an answer.

    Raises:
        ConnectionError: there is no such session.
    """
    found: dict[str, list[str]] = {}
    for row in _state.read("logs", address, timeout).rows:
        name: str = row["filename"]
        if node_id not in (None, row["node_id"]) or not fnmatch.fnmatch(name, glob_filter or "*"):
            continue
        kind = "worker_err" if ".err" in name else "worker_out"
        found.setdefault(kind, []).append(name)
    return found


def get_log(
    address: str | None = None,
    node_id: str | None = None,
    node_ip: str | None = None,
    filename: str | None = None,
    actor_id: str | None = None,
    task_id: str | None = None,
    pid: int | None = None,
    follow: bool = False,
    tail: int = -1,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    suffix: str = "out",
    encoding: str | None = "utf-8",
    errors: str | None = "strict",
    submission_id: str | None = None,
    attempt_number: int = 0,
    _interval: float | None = None,
    filter_ansi_code: bool = False,
) -> Generator[Any, None, None]:
    """What a worker has printed, in pieces.

    Args:
        address: A session's name or folder; default: this process's, or the youngest of this user's.
        node_id: A machine; there is one, and it is the default.
        node_ip: As `node_id`, by address.
        filename: A name that `list_logs` gives.
        actor_id: The actor that printed, in hex.
        task_id: The task that printed, in hex: all that its worker printed.
        pid: The process that printed.
        follow: Go on as more is printed, until the caller stops.
        tail: Only the last so many lines; -1 is all that is kept.
        timeout: Seconds to wait for an answer.
        suffix: "out" or "err".
        encoding: How to decode; None gives bytes.
        errors: As for `bytes.decode`.
        submission_id: Accepted for Ray's programs: a submitted job.
        attempt_number: Which attempt of the task.
        filter_ansi_code: Leave out the codes that colour a terminal.

    Raises:
        RayStateApiException: nothing that was printed is known of such a one.
        ValueError: it is not said whose output is wanted, or twice; or the suffix is neither.
        ConnectionError: there is no such session.
    """
    if suffix not in ("out", "err"):
        raise ValueError(f"suffix={suffix!r}: it must be 'out' or 'err'.")
    asked: dict[str, Any] = {"filename": filename, "actor_id": actor_id, "task_id": task_id, "pid": pid}
    asked["submission_id"] = submission_id
    named = [name for name, value in asked.items() if value is not None]
    if len(named) != 1:
        raise ValueError(
            f"get_log() needs one of filename, actor_id, task_id, pid and submission_id, and got {', '.join(named) or 'none'}."
        )
    if task_id is not None:
        pid = _pid_of_task(address, task_id, attempt_number, timeout)
    files = []
    for row in _state.read("logs", address, timeout).rows:
        name = row["filename"]
        if filename is not None:
            if name == filename:
                files.append(row)
        elif f".{suffix}" in name and (
            (pid is not None and row["pid"] == pid) or (actor_id is not None and row["actor_id"] == actor_id)
        ):
            files.append(row)
    if not files:
        raise RayStateApiException(
            f"There is no log of {named[0]}={asked[named[0]]!r} ({suffix}): nothing was printed there, or it is not of this session. "
            "list_logs() shows what there is."
        )

    def show(data: bytes) -> Any:
        if encoding is None:
            return data
        text = data.decode(encoding, errors or "strict")
        return _ANSI.sub("", text) if filter_ansi_code else text

    files.sort(key=lambda row: not row["filename"].endswith(".old"))
    parts = [_state.read_log(row) for row in files]
    data = b"".join(part for part, _after in parts)
    if tail >= 0:
        data = b"".join(data.splitlines(keepends=True)[-tail:]) if tail else b""
    if data:
        yield show(data)
    if follow:
        yield from (show(more) for more in _follow(files[-1], parts[-1][1], _interval or 0.2))


def _follow(row: dict[str, Any], start: int, interval: float) -> Generator[bytes, None, None]:
    while True:
        more, start = _state.read_log(row, start)
        if more:
            yield more
        else:
            time.sleep(interval)


def _pid_of_task(address: str | None, task_id: str, attempt: int, timeout: int) -> int:
    for row in _state.read("tasks", address, timeout).rows:
        if row["task_id"] == task_id and row["attempt_number"] == attempt and row["worker_pid"]:
            pid: int = row["worker_pid"]
            return pid
    raise RayStateApiException(f"No attempt {attempt} of a task {task_id!r} has run in this session.")


__all__ = ["get_log", "list_logs"]
