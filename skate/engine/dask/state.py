"""Rows about a session, as `skate.util.state` shows them, made of what the registry and the Dask workers tell."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from skate.core.actor import ActorState
from skate.core.failure import story
from skate.core.ref import ERROR, INDEX_BITS, PENDING, ObjectRef
from skate.engine.base import StateAnswer
from skate.engine.dask.blob import Blob
from skate.engine.dask.calls import UNIT
from skate.engine.dask.history import CallFacts, WorkerFacts
from skate.engine.dask.stacks import threads

if TYPE_CHECKING:
    from skate.engine.dask.engine import DaskEngine

Row = dict[str, Any]

_SOURCES = {"events": "tasks"}


def read(engine: DaskEngine, what: str) -> StateAnswer:
    """As `Engine.state`.

    Raises:
        NotImplementedError: the engine keeps no such record.
    """
    make = _ROWS.get(what)
    if make is None:
        raise NotImplementedError(f"the dask engine keeps no record of {what}.")
    facts = engine.ask("facts", _SOURCES.get(what, what))
    return StateAnswer(make(engine, facts), facts["missing"])


# -- tasks ----------------------------------------


def tasks(_engine: DaskEngine, facts: Row) -> list[Row]:
    """A row for each attempt of each task, actor call and actor creation, by time of creation."""
    errors: dict[tuple[int, int], Blob] = facts["errors"]
    rows = [_creation(actor) for actor in facts["actors"]]
    rows += [_task(call, errors.get((call.key, call.attempt))) for call in facts["tasks"]]
    return sorted(rows, key=lambda row: (row["creation_time_ms"], row["attempt_number"]))


def _task(call: CallFacts, error: Blob | None) -> Row:
    kind, message = None, None
    if error is not None:
        kind, message = _story(error)
    elif call.state == "FAILED":
        kind, message = ("ACTOR_DIED" if call.actor else "WORKER_DIED"), call.why
    row = {
        "task_id": _task_id(call.key),
        "attempt_number": call.attempt,
        "name": call.shown,
        "state": call.state,
        "job_id": call.job_id,
        "actor_id": _actor_id(call.actor) if call.actor else None,
        "type": "ACTOR_TASK" if call.actor else "NORMAL_TASK",
        "func_or_class_name": call.name,
        "parent_task_id": _task_id(call.parent) if call.parent else "f" * 40 + call.job_id,
        "node_id": call.node or None,
        "worker_id": _worker_id(call.worker) if call.worker else None,
        "worker_pid": call.pid or None,
        "error_type": kind,
        "language": "PYTHON",
        "required_resources": call.resources,
        "runtime_env_info": {"serialized_runtime_env": call.env or "{}"},
        "creation_time_ms": int(call.created * 1000),
        "start_time_ms": int(call.started * 1000) or None,
        "end_time_ms": int(call.ended * 1000) or None,
        "error_message": message,
    }
    if call.started and call.ended:
        row["exact"] = (call.started, int((call.ended - call.started) * 1e6))
    return row


def _story(blob: Blob) -> tuple[str, str]:
    if isinstance(blob.data, list):
        blob = next(part for part in blob.data if part.is_error())
    try:
        return story(blob.value())
    except Exception as failure:
        return "TASK_EXECUTION_EXCEPTION", f"its exception can't be rebuilt here: {failure}"


def _creation(actor: Row) -> Row:
    state = actor["state"]
    name = f"{actor['class_name']}.__init__"
    failed = state == "DEAD" and not actor["started"]
    waits = state in ("PENDING_CREATION", "RESTARTING")
    return {
        "task_id": _task_id(actor["key"]),
        "attempt_number": actor["restarts"],
        "name": f"{actor['name']}:{name}" if actor["name"] else name,
        "state": "FAILED" if failed else "PENDING_NODE_ASSIGNMENT" if waits else "FINISHED",
        "job_id": actor["job_id"],
        "actor_id": _actor_id(actor["key"]),
        "type": "ACTOR_CREATION_TASK",
        "func_or_class_name": name,
        "parent_task_id": "f" * 40 + actor["job_id"],
        "node_id": actor["node"],
        "worker_id": _worker_id(actor["worker"]) if actor["worker"] else None,
        "worker_pid": actor["pid"] or None,
        "error_type": "ACTOR_DIED" if failed else None,
        "language": "PYTHON",
        "required_resources": actor["resources"],
        "runtime_env_info": {"serialized_runtime_env": actor["env"] or "{}"},
        "creation_time_ms": int(actor["created"] * 1000),
        "start_time_ms": int(actor["started"] * 1000) or None,
        "end_time_ms": int((actor["ended"] if failed else actor["started"]) * 1000) or None,
        "error_message": actor["cause"] if failed else None,
    }


def events(engine: DaskEngine, facts: Row) -> list[Row]:
    """What a timeline is made of: calls that have run, and `profile` blocks."""
    rows = [row for row in tasks(engine, facts) if row["start_time_ms"]]
    for span in (*facts["spans"], *engine.spans):
        rows.append(
            {
                "type": "PROFILE",
                "name": span["event"],
                "task_id": _task_id(span["task"]) if span["task"] else None,
                "worker_id": _worker_id(span["worker"]),
                "worker_pid": span["pid"],
                "start_time_ms": span["started"] * 1000,
                "end_time_ms": span["ended"] * 1000,
                "extra": span["extra"],
            }
        )
    return rows


# -- the others ----------------------------------------


def actors(_engine: DaskEngine, facts: Row) -> list[Row]:
    """A row for each actor, the dead included."""
    return [
        {
            "actor_id": _actor_id(actor["key"]),
            "class_name": actor["class_name"],
            "state": actor["state"],
            "job_id": actor["job_id"],
            "name": actor["name"],
            "node_id": actor["node"],
            "pid": actor["pid"] or None,
            "ray_namespace": actor["namespace"],
            "serialized_runtime_env": actor["env"] or "{}",
            "required_resources": actor["resources"],
            "death_cause": _death_cause(actor),
            "is_detached": actor["detached"],
            "placement_group_id": actor["group"],
            "repr_name": "",
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
            "actor_id": _actor_id(actor["key"]),
            "class_name": actor["class_name"],
            "pid": actor["pid"],
            "name": actor["name"],
            "ray_namespace": actor["namespace"],
        }
    }


def objects(_engine: DaskEngine, facts: Row) -> list[Row]:
    """A row for each ref and handle of this process, and for each object that only Dask knows."""
    stored: dict[int, tuple[int, list[str]]] = facts["objects"]
    rows = []
    for thing in gc.get_objects():
        if type(thing) is ObjectRef and not thing.is_nil():
            size, nodes = stored.pop(thing._key, (0, []))
            if isinstance(thing._value, Blob):
                size = thing._value.size()
            there = bool(size) or thing._kind != PENDING
            state = "FAILED" if thing._kind == ERROR else "FINISHED" if there else "NIL"
            rows.append(_object(thing.hex(), size, state, "LOCAL_REFERENCE", os.getpid(), nodes))
        elif type(thing) is ActorState:
            name = "00000001" + thing.key.to_bytes(24, "big").hex()
            rows.append(_object(name, 0, "NIL", "ACTOR_HANDLE", os.getpid(), []))
    for key, (size, nodes) in stored.items():
        name = "00000001" + key.to_bytes(24, "big").hex()
        rows.append(_object(name, size, "FINISHED", "UNKNOWN_STATUS", 0, nodes))
    return rows


def _object(name: str, size: int, state: str, reference: str, pid: int, nodes: list[str]) -> Row:
    return {
        "object_id": name,
        "object_size": size,
        "task_status": state,
        "attempt_number": 1,
        "reference_type": reference,
        "call_site": "disabled",
        "type": "DRIVER" if pid else "WORKER",
        "pid": pid,
        "ip": "127.0.0.1",
        "node_ids": nodes,
        "did_spill": False,
    }


def workers(_engine: DaskEngine, facts: Row) -> list[Row]:
    """A row for each driver, and for each process that runs or ran user code."""
    rows = []
    for about in facts["drivers"].values():
        rows.append(_worker(_driver_facts(about), "DRIVER"))
    rows += [_worker(each, "WORKER") for each in facts["workers"]]
    return rows


def _driver_facts(about: Row) -> WorkerFacts:
    return WorkerFacts(
        about["number"], about["node"], about["pid"], about["start"], about["end"], "driver", ""
    )


def _worker(facts: WorkerFacts, kind: str) -> Row:
    alive = not facts.ended
    crashed = "killed" in facts.cause or "exit code" in facts.cause
    start = int(facts.since * 1000)
    return {
        "worker_id": _worker_id(facts.number),
        "is_alive": alive,
        "worker_type": kind,
        "exit_type": None if alive else "SYSTEM_ERROR" if crashed else "INTENDED_SYSTEM_EXIT",
        "node_id": facts.node,
        "ip": "127.0.0.1",
        "pid": facts.pid,
        "exit_detail": facts.cause or None,
        "worker_launch_time_ms": start,
        "worker_launched_time_ms": start,
        "start_time_ms": start,
        "end_time_ms": int(facts.ended * 1000),
        "label": "",
        "activity": facts.what,
        "blocked": False,
    }


def nodes(engine: DaskEngine, facts: Row) -> list[Row]:
    """A row for each Dask worker, those that are gone included."""
    there = [(node, "ALIVE", None, 0.0) for node in facts["nodes"]]
    gone = [(node, "DEAD", "the Dask worker has left", node["end"]) for node in facts["lost"].values()]
    head = facts["nodes"][0]["NodeID"] if facts["nodes"] else ""
    rows = []
    for node, state, message, end in there + gone:
        free = facts["available"].get(node["NodeID"], {})
        rows.append(
            {
                "node_id": node["NodeID"],
                "node_ip": node["NodeManagerAddress"],
                "is_head_node": node["NodeID"] == head,
                "state": state,
                "state_message": message,
                "node_name": node["NodeName"],
                "resources_total": node["Resources"],
                "resources_available": {
                    name.removeprefix("skate-"): amount / UNIT for name, amount in free.items() if amount
                },
                "labels": node["Labels"],
                "start_time_ms": int(facts["start"] * 1000),
                "end_time_ms": int(end * 1000),
                "store_used": 0,
                "store_capacity": 0,
                "store_spilled": 0,
            }
        )
    return rows


def jobs(_engine: DaskEngine, facts: Row) -> list[Row]:
    """A row for each program."""
    return [
        {
            "type": "DRIVER",
            "job_id": about["job_id"],
            "submission_id": None,
            "driver_info": {
                "id": about["job_id"],
                "node_ip_address": about["ip"],
                "pid": str(about["pid"]),
            },
            "status": "SUCCEEDED" if about["end"] else "RUNNING",
            "entrypoint": about["command"],
            "message": None,
            "error_type": None,
            "start_time": int(about["start"] * 1000),
            "end_time": int(about["end"] * 1000),
            "metadata": {},
            "runtime_env": about["env"],
            "driver_agent_http_address": None,
            "driver_node_id": about["node"],
            "driver_exit_code": None,
        }
        for about in facts["drivers"].values()
    ]


def placement_groups(_engine: DaskEngine, facts: Row) -> list[Row]:
    """A row for each placement group, those that were removed included."""
    return [
        {
            "placement_group_id": id,
            "name": group["name"],
            "creator_job_id": facts["details"][id]["job_id"],
            "state": group["state"],
            "bundles": [
                {
                    "bundle_id": {"placement_group_id": id, "bundle_index": index},
                    "node_id": group["bundles_to_node_id"][index] or None,
                    "unit_resources": amounts,
                }
                for index, amounts in group["bundles"].items()
            ],
            "is_detached": facts["details"][id]["detached"],
            "stats": group["stats"],
        }
        for id, group in facts["groups"].items()
    ]


def logs(_engine: DaskEngine, facts: Row) -> list[Row]:
    """A row for each file that output is kept in. They lie with the Dask workers: `Engine.read_log` reads them."""
    return [
        {
            "filename": file.name,
            "path": "",
            "size": file.size,
            "node_id": node,
            "pid": file.pid,
            "worker_id": _worker_id(file.worker),
            "actor_id": _actor_id(file.actor) if file.actor else None,
        }
        for node, answer in facts["nodes"].items()
        for file in answer["logs"]
    ]


def runtime_envs(_engine: DaskEngine, facts: Row) -> list[Row]:
    """A row for each environment that a Dask worker's processes have been wanted with."""
    return [
        {
            "runtime_env": json.loads(env),
            "success": not error,
            "creation_time_ms": None,
            "node_id": node,
            "ref_cnt": users,
            "error": error or None,
        }
        for node, answer in facts["nodes"].items()
        for env, users, error in answer["envs"]
    ]


def stacks(_engine: DaskEngine, facts: Row) -> list[Row]:
    """The threads of this process, and of each that runs user code. Those of a Dask worker itself: `Client.call_stack` of Dask."""
    own = {"pid": os.getpid(), "number": 0, "label": "", "threads": threads(), "pending": []}
    others = [
        {"pid": pid, "number": number, "label": label, "threads": each, "pending": []}
        for pid, number, label, each in facts["processes"]
        if pid != os.getpid()
    ]
    return [own, *others]


def _task_id(key: int) -> str:
    return (key >> INDEX_BITS << INDEX_BITS).to_bytes(24, "big").hex()


def _actor_id(key: int) -> str:
    return key.to_bytes(16, "big").hex()


def _worker_id(number: int) -> str:
    return f"{number:056x}"


_ROWS: dict[str, Callable[[DaskEngine, Row], list[Row]]] = {
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
    "events": events,
}
