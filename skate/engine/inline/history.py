"""What the inline engine tells about itself: calls that have ended, and the state of everything else."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any

from skate.core import serialize
from skate.core.actor import ActorState
from skate.core.failure import own_repr
from skate.core.ref import ERROR, INDEX_BITS, PENDING, ObjectRef
from skate.engine.base import StateAnswer
from skate.engine.inline.inform import NODE_ID, describe_node
from skate.engine.placement.resources import unscale
from skate.engine.placement.where import GROUP

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.engine.inline.actors import Actor
    from skate.engine.inline.calls import Call
    from skate.engine.inline.engine import InlineEngine

JOB_ID = "01000000"
LIMIT = 100_000
_ACTORS = 10_000
_TEXT = 2000

Row = dict[str, Any]


class History:
    """The calls that have ended, and answers about the session."""

    def __init__(self, engine: InlineEngine) -> None:
        self.engine = engine
        self.started = time.time()
        self.ended: deque[tuple[Any, ...]] = deque(
            maxlen=int(engine.config.system_config.get("task_history", LIMIT))
        )
        self.dead: dict[int, Row] = {}
        self.spans: deque[Row] = deque(maxlen=10_000)

    def end(self, call: Call, outcome: Any) -> None:
        """A call has ended; `outcome` is its first result, or None."""
        failed = outcome is not None and outcome[0] == ERROR
        self.ended.append((*_facts(call), time.time(), outcome[1] if failed else None, failed))

    def read(self, what: str) -> StateAnswer:
        """As `Engine.state`."""
        make = _ROWS.get(what)
        if make is None:
            raise NotImplementedError(f"the inline engine keeps no record of {what}.")
        return StateAnswer(make(self), [])

    def actor_ended(self, actor: Actor, cause: str) -> None:
        """An actor is dead."""
        self.dead[actor.key] = {
            **_actor(actor),
            "death_cause": _death_cause(actor, cause),
            "ended": time.time(),
        }
        while len(self.dead) > _ACTORS:
            del self.dead[next(iter(self.dead))]

    def span(self, event: str, call: Call | None, started: float, ended: float, extra: Row) -> None:
        """The user has marked a block; times of `time.monotonic`."""
        wall = time.time() - time.monotonic()
        self.spans.append(
            {
                "type": "PROFILE",
                "name": event,
                "task_id": None if call is None else call.task_id().hex(),
                "worker_id": worker_id(),
                "worker_pid": os.getpid(),
                "exact": (wall + started, int((ended - started) * 1e6)),
                "extra": extra,
            }
        )

    # -- rows ----------------------------------------

    def tasks(self) -> list[Row]:
        """Calls that have ended or not, and creations of actors."""
        rows = [_creation(row) for row in self.actors()]
        for record in list(self.ended):
            *facts, ended, payload, failed = record
            row = _call(facts, "FAILED" if failed else "FINISHED")
            row["end_time_ms"] = int(ended * 1000)
            if facts[-1]:
                row["exact"] = (facts[-1], int((ended - facts[-1]) * 1e6))
            if failed:
                row["error_type"], row["error_message"] = "TASK_EXECUTION_EXCEPTION", _text(payload)
            rows.append(row)
        rows += [_call(_facts(call), _state_of(call)) for call in list(self.engine.calls.values())]
        return sorted(rows, key=lambda row: row["creation_time_ms"])

    def actors(self) -> list[Row]:
        """The actors, the dead included."""
        return [*self.dead.values(), *(_actor(actor) for actor in list(self.engine.actors.by_key.values()))]

    def objects(self) -> list[Row]:
        """The refs and handles of this process."""
        rows = []
        for thing in gc.get_objects():
            if type(thing) is ObjectRef and not thing.is_nil():
                call = thing._call
                state = "NIL" if thing._kind == PENDING else "FAILED" if thing._kind == ERROR else "FINISHED"
                if call is not None and not call.done:
                    state = _state_of(call)
                rows.append(_object(thing.hex(), _size(thing._value), state, "LOCAL_REFERENCE"))
            elif type(thing) is ActorState:
                name = "00000001" + thing.key.to_bytes(24, "big").hex()
                rows.append(_object(name, 0, "NIL", "ACTOR_HANDLE"))
        return rows

    def workers(self) -> list[Row]:
        """This process."""
        start = int(self.started * 1000)
        return [
            {
                "worker_id": worker_id(),
                "is_alive": True,
                "worker_type": "DRIVER",
                "exit_type": None,
                "node_id": NODE_ID,
                "ip": "127.0.0.1",
                "pid": os.getpid(),
                "worker_launch_time_ms": start,
                "worker_launched_time_ms": start,
                "start_time_ms": start,
                "end_time_ms": 0,
                "label": "",
                "activity": "driver",
                "blocked": False,
            }
        ]

    def nodes(self) -> list[Row]:
        """This machine."""
        about = describe_node(self.engine)
        return [
            {
                "node_id": NODE_ID,
                "node_ip": "127.0.0.1",
                "is_head_node": True,
                "state": "ALIVE",
                "state_message": None,
                "node_name": "127.0.0.1",
                "resources_total": about["Resources"],
                "resources_available": self.engine.admission.ledger.amounts(free=True),
                "labels": about["Labels"],
                "start_time_ms": int(self.started * 1000),
                "end_time_ms": 0,
                "store_used": 0,
                "store_capacity": 0,
                "store_spilled": 0,
            }
        ]

    def jobs(self) -> list[Row]:
        """This program."""
        return [
            {
                "type": "DRIVER",
                "job_id": JOB_ID,
                "submission_id": None,
                "driver_info": {"id": JOB_ID, "node_ip_address": "127.0.0.1", "pid": str(os.getpid())},
                "status": "RUNNING",
                "entrypoint": " ".join(["python", *sys.argv]),
                "start_time": int(self.started * 1000),
                "end_time": 0,
                "metadata": {},
                "runtime_env": dict(self.engine.config.runtime_env),
                "driver_node_id": NODE_ID,
            }
        ]

    def groups(self) -> list[Row]:
        """The placement groups, those that were removed included."""
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
            for id, group in self.engine.group_table("").items()
        ]

    def nothing(self) -> list[Row]:
        """What does not exist in one process: nobody's output is kept apart, and environments are this process's own."""
        return []

    def stacks(self) -> list[Row]:
        """The threads of this process; fibers that wait are not seen from outside."""
        threads = []
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():
            frames = [
                (f.filename, f.lineno or 0, f.name, f.line or "") for f in traceback.extract_stack(frame)
            ]
            threads.append((names.get(ident, "a thread that Python did not start"), ident, frames))
        return [{"pid": os.getpid(), "number": 0, "label": "", "threads": threads, "pending": []}]

    def events(self) -> list[Row]:
        """What a timeline is made of."""
        rows = []
        for row in self.tasks():
            if row["start_time_ms"]:
                start = row["start_time_ms"] / 1000
                end = (row["end_time_ms"] or time.time() * 1000) / 1000
                rows.append({**row, "exact": row.get("exact") or (start, int((end - start) * 1e6))})
        return rows + list(self.spans)


def _state_of(call: Call) -> str:
    if call.waiting_for:
        return "PENDING_ARGS_AVAIL"
    if not call.started:
        return "PENDING_NODE_ASSIGNMENT"
    return "RUNNING_IN_RAY_GET" if call.fiber is not None and call.fiber.latch is not None else "RUNNING"


def _facts(call: Call) -> tuple[Any, ...]:
    actor = 0 if call.actor is None else call.actor.key
    about = (call.key, call.life, call.name, call.function_name, actor, call.parent, call.demand)
    return (*about, call.created, call.began)


def _call(facts: Any, state: str) -> Row:
    key, life, name, function, actor, parent, demand, created, began = facts
    return {
        "task_id": _task_id(key),
        "attempt_number": life,
        "name": name,
        "state": state,
        "job_id": JOB_ID,
        "actor_id": _actor_id(actor) if actor else None,
        "type": "ACTOR_TASK" if actor else "NORMAL_TASK",
        "func_or_class_name": function,
        "parent_task_id": _task_id(parent) if parent else "f" * 40 + JOB_ID,
        "node_id": NODE_ID if began else None,
        "worker_id": worker_id() if began else None,
        "worker_pid": os.getpid() if began else None,
        "error_type": None,
        "language": "PYTHON",
        "required_resources": unscale(demand),
        "runtime_env_info": {"serialized_runtime_env": "{}"},
        "creation_time_ms": int(created * 1000),
        "start_time_ms": int(began * 1000) or None,
        "end_time_ms": None,
        "error_message": None,
    }


def _creation(actor: Row) -> Row:
    name = f"{actor['class_name']}.__init__"
    failed = actor["state"] == "DEAD" and not actor["born"]
    done = actor["state"] in ("ALIVE", "DEAD")
    return {
        "task_id": _task_id(int(actor["actor_id"], 16)),
        "attempt_number": actor["num_restarts"],
        "name": f"{actor['name']}:{name}" if actor["name"] else name,
        "state": "FAILED" if failed else "FINISHED" if done else "PENDING_NODE_ASSIGNMENT",
        "job_id": JOB_ID,
        "actor_id": actor["actor_id"],
        "type": "ACTOR_CREATION_TASK",
        "func_or_class_name": name,
        "parent_task_id": "f" * 40 + JOB_ID,
        "node_id": NODE_ID,
        "worker_id": worker_id(),
        "worker_pid": os.getpid(),
        "error_type": "ACTOR_DIED" if failed else None,
        "language": "PYTHON",
        "required_resources": actor["required_resources"],
        "creation_time_ms": int(actor["created"] * 1000),
        "start_time_ms": int(actor["born"] * 1000) or None,
        "end_time_ms": int(actor["born"] * 1000) or None,
        "error_message": None,
    }


def _actor(actor: Actor) -> Row:
    return {
        "actor_id": _actor_id(actor.key),
        "class_name": actor.meta.class_name,
        "state": _STATES[actor.state],
        "job_id": JOB_ID,
        "name": actor.name,
        "node_id": NODE_ID,
        "pid": os.getpid(),
        "ray_namespace": actor.namespace,
        "serialized_runtime_env": "{}",
        "required_resources": dict(actor.options.running_demand()),
        "death_cause": None,
        "is_detached": actor.options.lifetime == "detached",
        "placement_group_id": actor.where[2] if actor.where[0] == GROUP else None,
        "repr_name": "" if actor.instance is None else own_repr(actor.instance) or "",
        "num_restarts": actor.restarts,
        "created": actor.created,
        "born": actor.born,
    }


def _death_cause(actor: Actor, cause: str) -> Row:
    context = {
        "error_message": f"The actor is dead because {cause}",
        "actor_id": _actor_id(actor.key),
        "class_name": actor.meta.class_name,
        "pid": os.getpid(),
        "name": actor.name,
        "ray_namespace": actor.namespace,
    }
    return {"actor_died_error_context": context}


def _object(name: str, size: int, state: str, reference: str) -> Row:
    return {
        "object_id": name,
        "object_size": size,
        "task_status": state,
        "attempt_number": 1,
        "reference_type": reference,
        "call_site": "disabled",
        "type": "DRIVER",
        "pid": os.getpid(),
        "ip": "127.0.0.1",
    }


def _size(value: Any) -> int:
    if type(value) is tuple:
        return sum(_size(part) for part in value)
    return memoryview(value).nbytes if isinstance(value, bytes | bytearray | memoryview) else 8


def _text(payload: Any) -> str:
    try:
        return str(serialize.unpack(payload))[-_TEXT:]
    except Exception as failure:
        return f"its exception can't be rebuilt here: {failure}"


def _task_id(key: int) -> str:
    return (key >> INDEX_BITS << INDEX_BITS).to_bytes(24, "big").hex()


def _actor_id(key: int) -> str:
    return key.to_bytes(16, "big").hex()


def worker_id() -> str:
    """The id of this process."""
    return f"{os.getpid():056x}"


_STATES = {"new": "PENDING_CREATION", "alive": "ALIVE", "restarting": "RESTARTING", "dead": "DEAD"}

_ROWS: dict[str, Callable[[History], list[Row]]] = {
    "tasks": History.tasks,
    "actors": History.actors,
    "objects": History.objects,
    "workers": History.workers,
    "nodes": History.nodes,
    "jobs": History.jobs,
    "placement_groups": History.groups,
    "runtime_envs": History.nothing,
    "logs": History.nothing,
    "stacks": History.stacks,
    "events": History.events,
}
