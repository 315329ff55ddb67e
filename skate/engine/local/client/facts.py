"""What can be asked about the session: the machine, its resources, and who asks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from skate.engine.local import protocol
from skate.engine.local.client.running import current_task

if TYPE_CHECKING:
    from skate.core.task_info import TaskInfo
    from skate.engine.local.client.engine import LocalEngine

NODE_ID = "00" * 27 + "01"


class Facts:
    """Answers about the session."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine

    def labels(self) -> dict[str, str]:
        return {"ray.io/node-id": NODE_ID, **self.engine.settings["labels"]}

    def task_info(self) -> TaskInfo:
        from skate.core.task_info import TaskInfo

        info = TaskInfo(
            job_id="01000000",
            node_id=NODE_ID,
            worker_id=f"{self.engine.number:056x}",
            namespace=self.engine.namespace,
            mode="driver",
            labels=dict(self.engine.settings["labels"]),
            session_name=os.path.basename(self.engine.settings["session_dir"]),
            session_dir=self.engine.settings["session_dir"],
            address=self.engine.address,
            runtime_env=dict(self.engine.job_env),
        )
        running = current_task.get()
        if running is not None:
            running.describe(info)
        return info

    def nodes(self) -> list[dict[str, Any]]:
        host = os.uname().nodename
        return [
            {
                "NodeID": NODE_ID,
                "Alive": True,
                "NodeManagerAddress": "127.0.0.1",
                "NodeManagerHostname": host,
                "NodeManagerPort": 0,
                "ObjectManagerPort": 0,
                "ObjectStoreSocketName": "",
                "RayletSocketName": self.engine.address,
                "MetricsExportPort": 0,
                "NodeName": "127.0.0.1",
                "RuntimeEnvAgentPort": 0,
                "DeathReason": 0,
                "DeathReasonMessage": "",
                "alive": True,
                "Resources": self.cluster_resources(),
                "Labels": self.labels(),
            }
        ]

    def cluster_resources(self) -> dict[str, float]:
        return dict(self.engine.settings["resources"])

    def available_resources(self) -> dict[str, float]:
        found: dict[str, float] = self.engine.ask(protocol.INFO, "available")
        return found


def unplaceable(strategy: Any) -> str:
    """Why a scheduling strategy can't be followed on a machine that is the only node; empty if it can."""
    if (
        type(strategy).__name__ != "NodeAffinitySchedulingStrategy"
        or strategy.soft
        or strategy.node_id == NODE_ID
    ):
        return ""
    return f"its node affinity is hard, and there is no node {strategy.node_id}; the only one is {NODE_ID}. Use soft=True."
