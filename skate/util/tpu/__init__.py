"""Google's TPUs: what a machine knows of its own, and slices of them, reserved as a whole.

A slice is a number of hosts whose chips are wired together in a topology, such as "4x4". A host says which slice it belongs to by its
labels ("ray.io/tpu-slice-name", "ray.io/tpu-worker-id", "ray.io/tpu-topology", "ray.io/tpu-pod-type") and its chips by the resource
"TPU"; the first host of a slice has the resource "TPU-<pod type>-head" as well, so that two programs can't take one slice.

    _machine.py   the chips and the pod of this machine
    _shapes.py    generations and topologies: how many hosts, chips and workers make a slice
    _nodes.py     the slices among the nodes of the session
    _slices.py    SlicePlacementGroup: slices reserved
    _run.py       run_on_slice: one task on each host of a slice
    _profiler.py  JAX's profiler
"""

from __future__ import annotations

from skate.util.tpu._machine import (
    get_current_pod_name,
    get_current_pod_worker_count,
    get_num_tpu_chips_on_node,
)
from skate.util.tpu._nodes import (
    get_num_ready_tpu_slices,
    get_num_tpu_slices,
    get_tpu_nodes_for_slice,
    get_tpu_slice_name_from_node,
)
from skate.util.tpu._profiler import init_jax_profiler
from skate.util.tpu._run import dispatch, run_on_slice
from skate.util.tpu._shapes import (
    VALID_TPU_TYPES,
    get_chips_per_host,
    get_num_chips_from_topology,
    get_tpu_coordinator_env_vars,
    get_tpu_num_slices_for_workers,
    get_tpu_resource_per_chip,
    get_tpu_version_from_type,
    get_tpu_worker_resources,
    infer_tpu_pod_type_from_topology,
)
from skate.util.tpu._slices import SlicePlacementGroup, reserve_tpu_slice, slice_placement_group

__all__ = [
    "VALID_TPU_TYPES",
    "SlicePlacementGroup",
    "dispatch",
    "get_chips_per_host",
    "get_current_pod_name",
    "get_current_pod_worker_count",
    "get_num_chips_from_topology",
    "get_num_ready_tpu_slices",
    "get_num_tpu_chips_on_node",
    "get_num_tpu_slices",
    "get_tpu_coordinator_env_vars",
    "get_tpu_nodes_for_slice",
    "get_tpu_num_slices_for_workers",
    "get_tpu_resource_per_chip",
    "get_tpu_slice_name_from_node",
    "get_tpu_version_from_type",
    "get_tpu_worker_resources",
    "infer_tpu_pod_type_from_topology",
    "init_jax_profiler",
    "reserve_tpu_slice",
    "run_on_slice",
    "slice_placement_group",
]
