"""Facts about the session, and about the task that asks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from skate.core import devices
from skate.core.task_info import TaskInfo
from skate.engine.placement.where import GROUP

if TYPE_CHECKING:
    from skate.engine.inline.calls import Call
    from skate.engine.inline.engine import InlineEngine

NODE_ID = "00" * 27 + "01"


def describe_task(engine: InlineEngine, call: Call | None) -> TaskInfo:
    """What `get_runtime_context()` tells the call; None stands for the driver."""
    info = TaskInfo(
        job_id="01000000",
        node_id=NODE_ID,
        worker_id=f"{os.getpid():056x}",
        namespace=engine.namespace,
        mode="driver",
        labels=dict(engine.config.labels),
        session_name=os.path.basename(engine.session_dir),
        session_dir=engine.session_dir,
        address=engine.address,
        runtime_env=dict(engine.config.runtime_env),
    )
    if call is None:
        return info
    info.mode = "worker"
    info.task_id = call.task_id().hex()
    info.task_name = call.name
    module = call.module if call.actor is None else call.actor.meta.module
    info.function_name = f"{module}.{call.function_name}"
    info.cancelled = call.cancelled
    holding = call.holding
    actor = call.actor
    if actor is not None:
        info.mode = "actor"
        info.actor = actor.own
        info.actor_name = actor.name
        info.restarted = actor.restarts > 0
        holding = actor.holding
    if holding is not None:
        info.resources = holding.amounts
        info.gpu_ids = devices.names(holding.gpus, engine.named_devices)
    where = call.where if actor is None else actor.where
    if where[0] == GROUP:
        info.placement_group_id = where[2]
        info.captures_children = where[4]
    info.runtime_env = {"env_vars": dict(call.env_vars)} if call.env_vars else {}
    return info


def describe_node(engine: InlineEngine) -> dict[str, Any]:
    """The one machine, as `skate.nodes()` shows it."""
    return {
        "NodeID": NODE_ID,
        "Alive": True,
        "NodeManagerAddress": "127.0.0.1",
        "NodeManagerHostname": os.uname().nodename,
        "NodeManagerPort": 0,
        "ObjectManagerPort": 0,
        "ObjectStoreSocketName": "",
        "RayletSocketName": engine.address,
        "MetricsExportPort": 0,
        "MetricsAgentPort": 0,
        "DashboardAgentListenPort": 0,
        "NodeName": "127.0.0.1",
        "RuntimeEnvAgentPort": 0,
        "DeathReason": 0,
        "DeathReasonMessage": "",
        "alive": True,
        "Resources": engine.cluster_resources(),
        "Labels": {"ray.io/node-id": NODE_ID, **engine.config.labels},
    }
