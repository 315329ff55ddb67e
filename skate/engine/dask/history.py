"""What a Dask worker remembers of the calls that it ran, as plain tuples that are read only when somebody asks."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any, NamedTuple

from skate.engine.dask.calls import node_id_of, outside, unscaled

if TYPE_CHECKING:
    from skate.engine.dask.active import Active
    from skate.engine.dask.blob import Blob
    from skate.engine.dask.calls import Call
    from skate.engine.dask.children import Child
    from skate.engine.dask.host import Host

LIMIT = 100_000
"""Ended calls that one Dask worker remembers, unless `_system_config={"task_history": …}` says otherwise."""
_ERRORS = 1000
_WORKERS = 1000
_SPANS = 10_000


class CallFacts(NamedTuple):
    """What is known of an attempt at a call; times are in seconds since the epoch, 0 where they have not come."""

    key: int
    attempt: int
    name: str
    shown: str
    actor: int
    parent: int
    job_id: str
    resources: dict[str, float]
    env: str
    created: float
    started: float
    ended: float
    state: str
    node: str
    worker: int
    pid: int
    why: str
    """Why it has no result, if its process was lost."""


class WorkerFacts(NamedTuple):
    """What is known of a process that runs user code."""

    number: int
    node: str
    pid: int
    since: float
    ended: float
    what: str
    """What it does, or did last."""
    cause: str


def facts_of(call: Call, state: str, active: Active | None = None, node: str = "") -> CallFacts:
    """What is known of a call that has not ended."""
    return CallFacts(
        call.key,
        call.attempt,
        call.name,
        call.shown,
        call.actor,
        call.parent,
        call.job.job_id,
        unscaled(outside(call.demand, call.placed)),
        call.env,
        call.created,
        0.0 if active is None else active.started,
        0.0,
        state,
        node,
        0 if active is None else active.worker,
        0 if active is None else active.pid,
        "",
    )


class History:
    """The memory of one Dask worker."""

    def __init__(self, host: Host, limit: int) -> None:
        self.host = host
        self.began = time.time()
        self._ended: deque[CallFacts] = deque(maxlen=limit)
        self._errors: dict[tuple[int, int], Blob] = {}
        """The errors of the last calls that failed, by key and attempt."""
        self._workers: deque[WorkerFacts] = deque(maxlen=_WORKERS)
        self._spans: deque[dict[str, Any]] = deque(maxlen=_SPANS)

    def ended(self, active: Active, blob: Blob | None, why: str = "") -> None:
        """An attempt has ended: with a result or an error, or without either, and why."""
        failed = blob is None or blob.is_error()
        facts = facts_of(active.call, "FAILED" if failed else "FINISHED", active, self._node())
        self._ended.append(facts._replace(ended=time.time(), why=why))
        if blob is not None and failed:
            self._errors[active.call.key, active.call.attempt] = blob
            while len(self._errors) > _ERRORS:
                del self._errors[next(iter(self._errors))]

    def child_ended(self, child: Child) -> None:
        """A process is gone."""
        if child.pid:
            self._workers.append(self._worker(child, time.time()))

    def span(self, span: dict[str, Any]) -> None:
        """User code has marked a block."""
        self._spans.append(span)

    def _node(self) -> str:
        return node_id_of(self.host.address)

    def _worker(self, child: Child, ended: float = 0.0) -> WorkerFacts:
        cause = (child.ending or child.end) if ended else ""
        return WorkerFacts(child.number, self._node(), child.pid, child.since, ended, child.what, cause)

    def on_facts(self, what: str) -> dict[str, Any]:
        """What is known here of "tasks", "actors", "workers", "logs" or "runtime_envs"."""
        if what == "logs":
            return {"logs": self.host.logs.on_logs()}
        if what == "runtime_envs":
            return {"envs": self._environments()}
        if what == "workers":
            alive = [self._worker(child) for child in self.host.children.all if child.pid]
            return {"workers": [*alive, *self._workers]}
        if what == "actors":
            return {
                "actors": {
                    key: (hosted.incarnation, hosted.child.number, hosted.child.pid, hosted.born)
                    for key, hosted in self.host.actors.hosted.items()
                }
            }
        return self._tasks()

    def _environments(self) -> list[tuple[str, int, str]]:
        """Each that processes have been wanted with: how many there are, and why there can be none."""
        environments = self.host.environments
        users = Counter(child.env for child in self.host.children.all)
        made = [(env, users[env], "") for env in environments.made]
        return made + [(env, 0, why) for env, why in environments.failures.items()]

    def _tasks(self) -> dict[str, Any]:
        under_way = [
            facts_of(active.call, _state(active), active, self._node())
            for active in self.host.active.values()
        ]
        return {
            "tasks": [*self._ended, *under_way],
            "errors": dict(self._errors),
            "spans": list(self._spans),
        }


def _state(active: Active) -> str:
    if not active.started:
        return "SUBMITTED_TO_WORKER"
    return "RUNNING_IN_RAY_GET" if active.blocked else "RUNNING"
