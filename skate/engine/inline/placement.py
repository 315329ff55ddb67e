"""What a task or actor asks of the machine: resources, labels, a node of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.core.labels import unmet
from skate.engine.inline.inform import NODE_ID
from skate.engine.inline.resources import scaled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skate.core.options import ActorOptions, TaskOptions
    from skate.engine.inline.engine import InlineEngine


def demand_of(
    engine: InlineEngine, options: TaskOptions | ActorOptions, amounts: Mapping[str, float]
) -> dict[str, int]:
    """The demand of a task or actor; a label that this machine lacks counts as a resource that it lacks."""
    labels = {"ray.io/node-id": NODE_ID, **engine.config.labels}
    return scaled({**amounts, **unmet(labels, options.label_selector)})


def unplaceable(strategy: Any) -> str:
    """Why a scheduling strategy can't be followed on the only node there is; empty if it can."""
    if type(strategy).__name__ != "NodeAffinitySchedulingStrategy":
        return ""
    if strategy.soft or strategy.node_id == NODE_ID:
        return ""
    return (
        f"its node affinity is hard, and there is no node {strategy.node_id}; the only one is {NODE_ID}. "
        "Use soft=True."
    )
