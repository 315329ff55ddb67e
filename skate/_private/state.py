"""What the session consists of, under its old path."""

from __future__ import annotations

import skate
from skate import _state, available_resources, cluster_resources, nodes
from skate.util.drain import draining_nodes


def current_node_id() -> str:
    """The resource that stands for this machine: "node:<address>"."""
    from skate.util.node import get_node_ip_address

    return f"node:{get_node_ip_address()}"


def node_ids() -> list[str]:
    """The resources that stand for the machines of the session."""
    return [name for name in cluster_resources() if name.startswith("node:")]


def total_resources_per_node() -> dict[str, dict[str, float]]:
    """What each machine has, by its id."""
    return {node["NodeID"]: dict(node["Resources"]) for node in nodes() if node["Alive"]}


def available_resources_per_node() -> dict[str, dict[str, float]]:
    """What nobody holds on each machine, by its id."""
    rows = _state.read("nodes").rows
    return {
        row["node_id"]: {name: amount for name, amount in row["resources_available"].items() if amount > 0}
        for row in rows
        if row["state"] == "ALIVE"
    }


class GlobalState:
    """The functions of this module as methods."""

    def node_table(self) -> list[dict[str, object]]:
        """The machines of the session."""
        return nodes()

    def cluster_resources(self) -> dict[str, float]:
        """All resources, by name."""
        return cluster_resources()

    def available_resources(self) -> dict[str, float]:
        """The resources that nobody holds, by name."""
        return available_resources()

    def total_resources_per_node(self) -> dict[str, dict[str, float]]:
        """What each machine has, by its id."""
        return total_resources_per_node()

    def available_resources_per_node(self) -> dict[str, dict[str, float]]:
        """What nobody holds on each machine, by its id."""
        return available_resources_per_node()

    def get_draining_nodes(self) -> dict[str, int]:
        """The machines that are about to be taken away, and when, in milliseconds since 1970; 0: nobody knows."""
        return draining_nodes()

    def get_system_config(self) -> dict[str, object]:
        """The internals that `init(_system_config=…)` has set."""
        from skate.core import runtime

        return dict(runtime.current().config.system_config)


state = GlobalState()

__all__ = [
    "GlobalState",
    "available_resources",
    "available_resources_per_node",
    "cluster_resources",
    "current_node_id",
    "node_ids",
    "nodes",
    "skate",
    "state",
    "total_resources_per_node",
]
