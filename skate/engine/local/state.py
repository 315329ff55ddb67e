"""Reading the state of a session: rows made of what the node and the other processes answer.

`ask` puts a question to the node. A process of the session gives its own records too, which it need not send; an observer has none.
"""

from __future__ import annotations

import json
import marshal
import operator
import os
from collections.abc import Callable
from typing import Any

from skate.engine.base import StateAnswer
from skate.engine.local import protocol

JOB_ID = "01000000"
_PATIENCE = 3.0
"""Seconds that the node gives a process to answer: one that holds its interpreter can't."""
_INDEX_BITS = 24

Row = dict[str, Any]


class StateReader:
    """Answers questions about a session.

    Args:
        ask: Sends the node a message and returns its answer.
        own: What this process itself has to say to a question; an observer has nothing.
    """

    def __init__(self, ask: Callable[..., Any], own: Callable[[str], Row] | None) -> None:
        self._ask = ask
        self._own = own

    def read(self, what: str, timeout: float) -> StateAnswer:
        """All rows of a kind: "tasks", "actors", "objects", … (`Engine.state` lists them)."""
        if what not in _ROWS:
            raise NotImplementedError(f"the local engine keeps no record of {what}.")
        source = "tasks" if what == "events" else what
        payload, reports, silent = self._ask(protocol.ASK_ALL, source, None, float(min(timeout, _PATIENCE)))
        facts = marshal.loads(payload)
        told = [marshal.loads(report) for report in reports]
        if self._own is not None and source in ("tasks", "objects", "stacks"):
            told.append(self._own(source))
        missing = [
            f"process {pid or number} gave no answer: it holds its interpreter in native code, or is stopped"
            for number, pid in silent
        ]
        return StateAnswer(_ROWS[what](facts, told), missing)


# -- tasks ----------------------------------------


def tasks(facts: Row, told: list[Row]) -> list[Row]:
    """A row for each attempt of each task, actor call and actor creation, by time of creation."""
    processes: dict[int, tuple[int, str]] = facts["processes"]
    running = {key: (started, state) for report in told for key, started, state in report.get("running", ())}
    rows: list[Row] = [_creation(actor, processes) for actor in facts["actors"]]
    for report in told:
        make = _Tasks(report["lanes"], processes, report["wall"])
        failures = {(key, attempt): story for key, attempt, *story in report["failures"]}
        for record in report["ended"]:
            key, attempt, _name, _extra, _parent, _created, _place, _worker, started, micros = record
            row = make.row(record)
            if micros < 0:
                micros = ~micros
                row["state"] = "FAILED"
                unknown = ("TASK_EXECUTION_EXCEPTION", None)
                row["error_type"], row["error_message"] = failures.get((key, attempt), unknown)
            if started:
                start = make.wall + started
                row["start_time_ms"] = int(start * 1000)
                row["end_time_ms"] = int((start + micros * 1e-6) * 1000)
                row["exact"] = (start, micros)
            rows.append(row)
        for record in report.get("pending", ()):
            row = make.row(record)
            row["state"] = record[8]
            now = running.get(record[0])
            if now is not None:
                row["state"] = "RUNNING_IN_RAY_GET" if now[1] else "RUNNING"
                row["start_time_ms"] = int((make.wall + now[0]) * 1000)
            rows.append(row)
    rows.sort(key=_CREATED)
    return rows


_CREATED = operator.itemgetter("creation_time_ms")


class _Tasks:
    """Makes the rows of one process's calls."""

    def __init__(self, lanes: list[Any], processes: dict[int, tuple[int, str]], wall: float) -> None:
        self.wall = wall
        self._lanes = lanes
        self._processes = processes
        self._patterns: dict[tuple[Any, ...], Row] = {}

    def row(self, record: tuple[Any, ...]) -> Row:
        """The row of a call that has finished; whoever knows more of it changes that."""
        key, attempt, name, extra, parent, created, place, worker = record[:8]
        shown = name if extra is None else extra.get("name") or name
        kind = (name, shown, parent, place, worker)
        # Calls of one function have most columns in common: a copy of them is what 100,000 rows can afford.
        pattern = self._patterns.get(kind)
        if pattern is None:
            pattern = self._patterns[kind] = self._pattern(*kind)
        row = pattern.copy()
        row["task_id"] = (key >> _INDEX_BITS << _INDEX_BITS).to_bytes(24, "big").hex()
        row["attempt_number"] = attempt
        row["creation_time_ms"] = int((self.wall + created) * 1000)
        return row

    def _pattern(self, name: str, shown: str, parent: int, place: int, worker: int) -> Row:
        resources, env = self._lanes[place] if 0 <= place < len(self._lanes) else ({}, "")
        pid, machine = self._processes.get(worker, (0, ""))
        return {
            "task_id": "",
            "attempt_number": 0,
            "name": shown,
            "state": "FINISHED",
            "job_id": JOB_ID,
            "actor_id": actor_id(-place) if place < 0 else None,
            "type": "ACTOR_TASK" if place < 0 else "NORMAL_TASK",
            "func_or_class_name": name,
            "parent_task_id": task_id(parent) if parent else _DRIVER_TASK,
            "node_id": machine or None,
            "worker_id": worker_id(worker) if worker else None,
            "worker_pid": pid or None,
            "error_type": None,
            "language": "PYTHON",
            "required_resources": resources,
            "runtime_env_info": {"serialized_runtime_env": env or "{}"},
            "creation_time_ms": 0,
            "start_time_ms": None,
            "end_time_ms": None,
            "error_message": None,
        }


def _creation(actor: Row, processes: dict[int, tuple[int, str]]) -> Row:
    state = actor["state"]
    name = f"{actor['class_name']}.__init__"
    failed = state == "DEAD" and not actor["started"]
    state = _CREATION_STATES.get(state, "FINISHED")
    return {
        "task_id": task_id(actor["key"]),
        "attempt_number": actor["restarts"],
        "name": f"{actor['name']}:{name}" if actor["name"] else name,
        "state": "FAILED" if failed else state,
        "job_id": JOB_ID,
        "actor_id": actor_id(actor["key"]),
        "type": "ACTOR_CREATION_TASK",
        "func_or_class_name": name,
        "parent_task_id": _DRIVER_TASK,
        "node_id": processes.get(actor["worker"], (0, None))[1],
        "worker_id": worker_id(actor["worker"]) if actor["worker"] else None,
        "worker_pid": actor["pid"] or None,
        "error_type": "ACTOR_DIED" if failed else None,
        "language": "PYTHON",
        "required_resources": actor["resources"],
        "runtime_env_info": {"serialized_runtime_env": actor.get("env") or "{}"},
        "creation_time_ms": int(actor["created"] * 1000),
        "start_time_ms": int(actor["started"] * 1000) or None,
        "end_time_ms": int((actor["ended"] if failed else actor["started"]) * 1000) or None,
        "error_message": actor["cause"] if failed else None,
    }


_CREATION_STATES = {"PENDING_CREATION": "PENDING_NODE_ASSIGNMENT", "RESTARTING": "PENDING_NODE_ASSIGNMENT"}


# -- the others ----------------------------------------


def actors(facts: Row, _told: list[Row]) -> list[Row]:
    """A row for each actor, the dead included."""
    processes = facts["processes"]
    return [
        {
            "actor_id": actor_id(actor["key"]),
            "class_name": actor["class_name"],
            "state": actor["state"],
            "job_id": JOB_ID,
            "name": actor["name"],
            "node_id": processes.get(actor["worker"], (0, None))[1],
            "pid": actor["pid"] or None,
            "ray_namespace": actor["namespace"],
            "serialized_runtime_env": actor.get("env") or "{}",
            "required_resources": actor["resources"],
            "death_cause": _death_cause(actor),
            "is_detached": actor["detached"],
            "placement_group_id": actor.get("group"),
            "repr_name": actor["shown"],
            "num_restarts": actor["restarts"],
            "num_restarts_due_to_lineage_reconstruction": 0,
            "num_restarts_due_to_node_preemption": 0,
            "label_selector": {},
        }
        for actor in facts["actors"]
    ]


def _death_cause(actor: Row) -> Row | None:
    if actor["state"] != "DEAD":
        return None
    return {
        "actor_died_error_context": {
            "error_message": f"The actor is dead because {actor['cause']}",
            "actor_id": actor_id(actor["key"]),
            "class_name": actor["class_name"],
            "pid": actor["pid"],
            "name": actor["name"],
            "ray_namespace": actor["namespace"],
        }
    }


def objects(facts: Row, told: list[Row]) -> list[Row]:
    """A row for each ref and handle in each process, and for each object that only the node knows."""
    stored = {key: size for key, size, *_rest in facts["objects"]}
    pids = {pid: number for number, (pid, _machine) in facts["processes"].items()}
    machines = dict(facts["processes"].values())
    rows = []
    seen = set()
    for report in told:
        for key, size, state, reference, pid in report["objects"]:
            seen.add(key)
            rows.append(_object(key, stored.get(key, size) if size < 0 else size, state, reference, pid))
    for key, size, kind, pins, containers, _spilled, _nodes in facts["objects"]:
        if key not in seen:
            reference = (
                "PINNED_IN_MEMORY" if pins else "CAPTURED_IN_OBJECT" if containers else "UNKNOWN_STATUS"
            )
            rows.append(_object(key, size, "FINISHED" if kind > 0 else "NIL", reference, 0))
    first = min(pids.values(), default=0)
    lie = {object_id(key): (nodes, spilled) for key, *_rest, spilled, nodes in facts["objects"] if nodes}
    for row in rows:
        # Beyond what is listed: where it lies. What is small lies with who has it.
        at_owner = (
            [machines[row["pid"]]] if row["task_status"] == "FINISHED" and row["pid"] in machines else []
        )
        row["node_ids"], row["did_spill"] = lie.get(row["object_id"], (at_owner, False))
        row["type"] = "DRIVER" if pids.get(row["pid"], first) == first else "WORKER"
    return rows


def object_id(key: int) -> str:
    """The id of an object in hex."""
    return "00000001" + key.to_bytes(24, "big").hex()


def _object(key: int, size: int, state: str, reference: str, pid: int) -> Row:
    return {
        "object_id": object_id(key),
        "object_size": size,
        "task_status": state,
        "attempt_number": 1,
        "reference_type": reference,
        "call_site": "disabled",
        "type": "",
        "pid": pid,
        "ip": "127.0.0.1",
    }


def workers(facts: Row, _told: list[Row]) -> list[Row]:
    """A row for each process, those that have ended included."""
    return [_worker(facts, True) for facts in facts["alive"]] + [
        _worker(facts, False) for facts in facts["ended"]
    ]


def _worker(facts: Row, alive: bool) -> Row:
    status = facts.get("status")
    intended = status == 0 or "nothing needed it" in facts.get("cause", "")
    exit_type = None if alive else "INTENDED_SYSTEM_EXIT" if intended else "SYSTEM_ERROR"
    return {
        "worker_id": worker_id(facts["number"]),
        "is_alive": alive,
        "worker_type": "DRIVER" if facts["driver"] else "WORKER",
        "exit_type": exit_type,
        "node_id": facts["machine"],
        "ip": "127.0.0.1",
        "pid": facts["pid"],
        "exit_detail": facts.get("cause"),
        "worker_launch_time_ms": int(facts["start"] * 1000),
        "worker_launched_time_ms": int(facts["start"] * 1000),
        "start_time_ms": int(facts["start"] * 1000),
        "end_time_ms": 0 if alive else int(facts["end"] * 1000),
        "label": facts["label"],
        "activity": facts.get("state", "ended"),
        "blocked": facts.get("blocked", False),
    }


def nodes(facts: Row, _told: list[Row]) -> list[Row]:
    """A row for each machine, those that are gone included."""
    return [
        {
            "node_id": id,
            "node_ip": "127.0.0.1",
            "is_head_node": id == facts["head"],
            "state": "ALIVE" if alive else "DEAD",
            "state_message": death or None,
            "node_name": "127.0.0.1",
            "resources_total": total,
            "resources_available": facts["available"].get(id, {}),
            "labels": {"ray.io/node-id": id, **labels},
            "start_time_ms": int(facts["start"] * 1000),
            "end_time_ms": 0,
            "store_used": facts["used"],
            "store_capacity": facts["capacity"],
            "store_spilled": facts["spilled"],
        }
        for id, alive, death, total, labels in facts["machines"]
    ]


def jobs(facts: Row, _told: list[Row]) -> list[Row]:
    """A row for each program."""
    rows = []
    for driver in facts["drivers"]:
        rows.append(
            {
                "type": "DRIVER",
                "job_id": JOB_ID,
                "submission_id": None,
                "driver_info": {"id": JOB_ID, "node_ip_address": "127.0.0.1", "pid": str(driver["pid"])},
                "status": "RUNNING",
                "entrypoint": driver["command"],
                "message": None,
                "error_type": None,
                "start_time": int(facts["start"] * 1000),
                "end_time": 0,
                "metadata": {},
                "runtime_env": facts["env"],
                "driver_agent_http_address": None,
                "driver_node_id": facts["machine"],
                "driver_exit_code": None,
            }
        )
    return rows


def placement_groups(facts: Row, _told: list[Row]) -> list[Row]:
    """A row for each placement group, those that were removed included."""
    return [
        {
            "placement_group_id": id,
            "name": group["name"],
            "creator_job_id": JOB_ID,
            "state": group["state"],
            "bundles": [
                {
                    "bundle_id": {"placement_group_id": id, "bundle_index": index},
                    "node_id": group["bundles_to_node_id"][index] or None,
                    "unit_resources": amounts,
                }
                for index, amounts in group["bundles"].items()
            ],
            "is_detached": group.get("detached", False),
            "stats": group["stats"],
        }
        for id, group in facts["groups"].items()
    ]


def runtime_envs(facts: Row, _told: list[Row]) -> list[Row]:
    """A row for each environment that workers have been made with."""
    return [
        {
            "runtime_env": json.loads(env),
            "success": not error,
            "creation_time_ms": None,
            "node_id": facts["machine"],
            "ref_cnt": users,
            "error": error,
        }
        for env, users, error in facts["envs"]
    ]


def logs(facts: Row, _told: list[Row]) -> list[Row]:
    """A row for each file that workers' output is kept in."""
    folder = facts["folder"]
    rows = []
    pids = {worker["pid"]: worker for worker in (*facts["alive"], *facts["ended"])}
    hosts = {actor["pid"]: actor_id(actor["key"]) for actor in facts["actors"] if actor["pid"]}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        pid = int(name.rpartition("-")[2].partition(".")[0])
        worker = pids.get(pid)
        rows.append(
            {
                "filename": name,
                "path": path,
                "size": os.path.getsize(path),
                "node_id": worker["machine"] if worker else None,
                "pid": pid,
                "worker_id": worker_id(worker["number"]) if worker else None,
                "actor_id": hosts.get(pid),
            }
        )
    return rows


def stacks(facts: Row, told: list[Row]) -> list[Row]:
    """A row for each process: the stacks of its threads, and what its calls wait for."""
    labels = {process["pid"]: process["label"] for process in facts["alive"]}
    pids = {process["number"]: process["pid"] for process in facts["alive"]}
    return [
        {
            **report["stacks"],
            "label": labels.get(report["stacks"]["pid"], ""),
            "pending": [
                {
                    "task_id": task_id(call[0]),
                    "name": call[2],
                    "state": call[8],
                    "why": _why(call, report, pids),
                }
                for call in report["pending"]
            ],
        }
        for report in told
    ]


def _why(call: tuple[Any, ...], report: Row, pids: dict[int, int]) -> str:
    """What a call waits for, in words."""
    place, worker, state, refs = call[6], call[7], call[8], call[9]
    where = f"process {pids.get(worker, worker)}"
    if state == "PENDING_ARGS_AVAIL":
        return f"its arguments {', '.join(refs)} are not there yet"
    if state == "SUBMITTED_TO_WORKER":
        return f"it runs in {where}, or is next there"
    if state == "PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY":
        return f"it runs in its actor, {where}, or waits for its turn there"
    if place < 0:
        return (
            f"actor {actor_id(-place)} is not ready yet, or has earlier calls whose arguments are not there"
        )
    return f"no worker with {report['lanes'][place][0]} is free yet"


def task_id(key: int) -> str:
    """The id of the task that makes a key."""
    return (key >> _INDEX_BITS << _INDEX_BITS).to_bytes(24, "big").hex()


def actor_id(key: int) -> str:
    """An actor's id."""
    return key.to_bytes(16, "big").hex()


def worker_id(number: int) -> str:
    """A process's id."""
    return f"{number:056x}"


_DRIVER_TASK = "f" * 40 + JOB_ID


def _events(facts: Row, told: list[Row]) -> list[Row]:
    """What a timeline is made of: tasks that have run, and `profile` blocks."""
    rows = [row for row in tasks(facts, told) if row["start_time_ms"]]
    for report in told:
        wall = report["wall"]
        for event, key, started, ended, extra in report["spans"]:
            rows.append(
                {
                    "type": "PROFILE",
                    "name": event,
                    "task_id": task_id(key) if key else None,
                    "worker_id": worker_id(report["number"]),
                    "worker_pid": report["pid"],
                    "start_time_ms": (wall + started) * 1000,
                    "end_time_ms": (wall + ended) * 1000,
                    "extra": extra,
                }
            )
    return rows


_ROWS: dict[str, Callable[[Row, list[Row]], list[Row]]] = {
    "tasks": tasks,
    "actors": actors,
    "objects": objects,
    "workers": workers,
    "nodes": nodes,
    "jobs": jobs,
    "placement_groups": placement_groups,
    "runtime_envs": runtime_envs,
    "logs": logs,
    "stacks": stacks,
    "events": _events,
}
