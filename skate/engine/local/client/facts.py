"""What can be asked about the session: the machine, its resources, and who asks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from skate.engine.local import protocol
from skate.engine.local.client.running import current_task

if TYPE_CHECKING:
    from skate.core.task_info import TaskInfo
    from skate.engine.local.client.engine import LocalEngine


class Facts:
    """Answers about the session."""

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine

    def labels(self) -> dict[str, str]:
        return {"ray.io/node-id": self.engine.settings["machine_id"], **self.engine.settings["labels"]}

    def task_info(self) -> TaskInfo:
        from skate.core.task_info import TaskInfo

        info = TaskInfo(
            job_id="01000000",
            node_id=self.engine.settings["machine_id"],
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
                "NodeID": id,
                "Alive": alive,
                "NodeManagerAddress": "127.0.0.1",
                "NodeManagerHostname": host,
                "NodeManagerPort": 0,
                "ObjectManagerPort": 0,
                "ObjectStoreSocketName": "",
                "RayletSocketName": self.engine.address,
                "MetricsExportPort": 0,
                "MetricsAgentPort": 0,
                "DashboardAgentListenPort": 0,
                "NodeName": "127.0.0.1",
                "RuntimeEnvAgentPort": 0,
                "DeathReason": 0 if alive else 1,
                "DeathReasonMessage": death,
                "alive": alive,
                "Resources": resources,
                "Labels": labels,
            }
            for id, alive, death, resources, labels in self.engine.ask(protocol.INFO, "nodes")
        ]

    def cluster_resources(self) -> dict[str, float]:
        found: dict[str, float] = self.engine.ask(protocol.INFO, "total")
        return found

    def available_resources(self) -> dict[str, float]:
        found: dict[str, float] = self.engine.ask(protocol.INFO, "available")
        return found
