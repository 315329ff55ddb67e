"""The slices among the nodes of the session, as their labels and resources tell."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import skate
from skate.util.tpu._shapes import (
    get_num_chips_from_topology,
    get_tpu_resource_per_chip,
    infer_tpu_pod_type_from_topology,
)

SLICE_NAME = "ray.io/tpu-slice-name"
WORKER_ID = "ray.io/tpu-worker-id"
POD_TYPE = "ray.io/tpu-pod-type"

_log = logging.getLogger(__name__)


def get_tpu_slice_name_from_node(node: dict[str, Any]) -> str | None:
    """The slice that a node belongs to; None if it belongs to none.

    Args:
        node: One of `skate.nodes()`.
    """
    name: str | None = node.get("Labels", {}).get(SLICE_NAME)
    return name


def get_tpu_nodes_for_slice(
    slice_name: str, nodes: Sequence[dict[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """The living nodes of a slice.

    Args:
        slice_name: As the label "ray.io/tpu-slice-name" has it.
        nodes: Where to look; default: `skate.nodes()`, or nothing where there is no session.
    """
    if nodes is None:
        nodes = skate.nodes() if skate.is_initialized() else []
    return [node for node in nodes if node.get("Alive") and get_tpu_slice_name_from_node(node) == slice_name]


def get_num_tpu_slices(topology: str, accelerator_type: str, tpu_resource_per_chip: int | None = None) -> int:
    """How many slices of a topology are whole: all their hosts live and have their chips, in use or not.

    Args:
        topology: Such as "4x4".
        accelerator_type: Such as "TPU-V6E".
        tpu_resource_per_chip: Units of "TPU" a chip; default: `get_tpu_resource_per_chip()`.
    """
    return len(_whole_slices(topology, accelerator_type, tpu_resource_per_chip))


def get_num_ready_tpu_slices(
    topology: str, accelerator_type: str, tpu_resource_per_chip: int | None = None
) -> int:
    """How many slices of a topology are whole, and have no chip in use. The arguments are those of `get_num_tpu_slices`."""
    from skate._private.state import available_resources_per_node

    slices = _whole_slices(topology, accelerator_type, tpu_resource_per_chip)
    if not slices:
        return 0
    free = available_resources_per_node()
    return sum(
        all(free.get(node["NodeID"], {}).get("TPU", 0) >= _chips(node) for node in nodes)
        for nodes in slices.values()
    )


def _whole_slices(
    topology: str, accelerator_type: str, tpu_resource_per_chip: int | None
) -> dict[str, list[dict[str, Any]]]:
    units = get_tpu_resource_per_chip() if tpu_resource_per_chip is None else tpu_resource_per_chip
    if not skate.is_initialized():
        return {}
    try:
        pod_type = infer_tpu_pod_type_from_topology(topology, accelerator_type)
        chips = get_num_chips_from_topology(topology) * units if pod_type else 0
    except ValueError as error:
        _log.warning("No slices are counted: %s", error)
        return {}
    if chips <= 0:
        return {}
    slices: dict[str, list[dict[str, Any]]] = {}
    for node in skate.nodes():
        if node["Alive"] and node["Labels"].get(POD_TYPE) == pod_type:
            # A host that is a slice by itself needs no name for it.
            name = node["NodeID"] if _chips(node) >= chips else get_tpu_slice_name_from_node(node)
            if name:
                slices.setdefault(name, []).append(node)
    return {
        name: nodes for name, nodes in slices.items() if sum(map(_chips, nodes)) == chips and _headed(nodes)
    }


def _chips(node: dict[str, Any]) -> float:
    amount: float = node["Resources"].get("TPU", 0)
    return amount


def _headed(nodes: list[dict[str, Any]]) -> bool:
    return len(nodes) == 1 or any(node["Labels"].get(WORKER_ID) == "0" for node in nodes)
