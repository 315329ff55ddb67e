"""Generations of TPUs and their topologies: how many hosts, chips and workers make a slice. Arithmetic alone."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Mapping
from functools import lru_cache

VALID_TPU_TYPES = ("v2", "v3", "v4", "v5p", "v5litepod", "v6e", "v7x")
DEFAULT_MEGASCALE_PORT = "8081"
_CHIPS_OF_A_HOST = 4
_EIGHT_CHIP_HOSTS = ("v5litepod", "v6e")
"""Of these, a topology of up to eight chips is one host."""
_ONE_CORE_CHIPS = ("v5litepod", "v6e")
_ONE_HOST = ("1x1", "2x2", "2x4")


def get_tpu_version_from_type(accelerator_type: str) -> str:
    """The generation that an accelerator type names.

    Raises:
        ValueError: there is no such generation.

    Example:
        >>> get_tpu_version_from_type("TPU-V6E"), get_tpu_version_from_type("v5p")
        ('v6e', 'v5p')
    """
    version = re.sub(r"^tpu(-?)", lambda found: "" if found[1] else "v", accelerator_type.lower())
    if version not in VALID_TPU_TYPES:
        raise ValueError(
            f"Invalid accelerator_type: {accelerator_type}. Must be one of {list(VALID_TPU_TYPES)}, with or without 'TPU-' before it."
        )
    return version


def get_num_chips_from_topology(topology: str) -> int:
    """How many chips a topology has.

    Example:
        >>> get_num_chips_from_topology("2x2x4")
        16
    """
    return math.prod(int(length) for length in topology.strip().lower().split("x"))


def get_chips_per_host(topology: str, accelerator_version: str) -> int:
    """How many chips a host of such a slice has: all, where the slice is one host of v5litepod or v6e, and 4 otherwise."""
    one_host = topology.strip().lower() in _ONE_HOST
    if one_host and accelerator_version.strip().lower() in _EIGHT_CHIP_HOSTS:
        return get_num_chips_from_topology(topology)
    return _CHIPS_OF_A_HOST


def get_tpu_resource_per_chip() -> int:
    """How many units of the resource "TPU" stand for one chip: RAY_TPU_RESOURCE_PER_CHIP, or 1.

    Raises:
        ValueError: that variable is no positive whole number.
    """
    value = os.environ.get("RAY_TPU_RESOURCE_PER_CHIP")
    if value is None:
        return 1
    if not value.strip().isdigit() or int(value) == 0:
        raise ValueError(f"RAY_TPU_RESOURCE_PER_CHIP must be a positive integer, got {value!r}.")
    return int(value)


def infer_tpu_pod_type_from_topology(topology: str, accelerator_type: str) -> str | None:
    """The pod type of a slice: its generation, and how many cores it has; None without a topology or a type.

    Raises:
        ValueError: the topology or the type can't be read.

    Example:
        >>> infer_tpu_pod_type_from_topology("2x2x2", "TPU-V4"), infer_tpu_pod_type_from_topology("4x4", "TPU-V6E")
        ('v4-16', 'v6e-16')
    """
    if not topology or not accelerator_type:
        return None
    version = accelerator_type.lower().replace("tpu-", "")
    try:
        chips = get_num_chips_from_topology(topology)
        return f"{version}-{chips * cores_per_chip(version)}"
    except ValueError as error:
        raise ValueError(
            f"Failed to infer pod type from topology '{topology}' and type '{accelerator_type}': {error}"
        ) from error


def cores_per_chip(pod_type: str) -> int:
    """How many cores a chip of that generation or pod type has.

    Raises:
        ValueError: there is no such generation.
    """
    if not pod_type.startswith(VALID_TPU_TYPES):
        raise ValueError(f"Invalid accelerator type: {pod_type}. Must start with one of: {VALID_TPU_TYPES}")
    return 1 if pod_type.startswith(_ONE_CORE_CHIPS) else 2


def is_valid_topology(version: str, topology: str) -> bool:
    """Whether slices of that generation come in that topology."""
    return topology.strip().lower() in _topologies().get(version, ())


@lru_cache(maxsize=1)
def _topologies() -> dict[str, frozenset[str]]:
    plane = {"4x4", "4x8", "8x8", "8x16", "16x16"}
    small_cubes = {"2x2x1", "2x2x2", "2x2x4", "2x4x4"}
    lite = frozenset({"1x1", "2x2", "2x4", "2x8", *plane})
    seventh = {"4x4x4", "4x4x8", "4x8x8", "8x8x8", "8x8x16", "8x16x16"}
    return {
        "v2": frozenset(plane),
        "v3": frozenset({*plane, "16x32", "32x32"}),
        "v4": frozenset({*small_cubes, *_cubes(12, 12, 16)}),
        "v5p": frozenset({*small_cubes, *_cubes(16, 16, 24)}),
        "v5litepod": lite,
        "v6e": lite,
        "v7x": frozenset({*small_cubes, *seventh}),
    }


def _cubes(*longest: int) -> set[str]:
    sides = (range(4, length + 1, 4) for length in longest)
    return {"x".join(map(str, lengths)) for lengths in itertools.product(*sides)}


def get_tpu_worker_resources(
    topology: str,
    accelerator_type: str,
    resources_per_worker: Mapping[str, float] | None = None,
    num_slices: int = 1,
    chips_per_vm: int | None = None,
    tpu_resource_per_chip: int | None = None,
) -> tuple[int, dict[str, float]]:
    """How many workers fill slices, and what each of them holds.

    Args:
        topology: Of a slice, such as "4x4".
        accelerator_type: Such as "TPU-V6E" or "v6e".
        resources_per_worker: What a worker holds; default: a CPU, and the chips of a host.
        num_slices: How many slices there are.
        chips_per_vm: How many chips a host has; default: what is usual for that topology.
        tpu_resource_per_chip: Units of "TPU" a chip; default: `get_tpu_resource_per_chip()`.

    Raises:
        ValueError: an argument is not positive or not known, or the workers would not fill each slice evenly.

    Example:
        >>> get_tpu_worker_resources("4x4", "TPU-V6E")
        (4, {'CPU': 1, 'TPU': 4})
    """
    units = get_tpu_resource_per_chip() if tpu_resource_per_chip is None else tpu_resource_per_chip
    if units <= 0:
        raise ValueError(f"`tpu_resource_per_chip` must be a positive integer, got {units!r}.")
    version = get_tpu_version_from_type(accelerator_type)
    chips = get_chips_per_host(topology, version) if chips_per_vm is None else chips_per_vm
    if chips <= 0:
        raise ValueError(f"chips_per_vm must be positive, got {chips!r}.")
    a_slice = get_num_chips_from_topology(topology) * units
    resources = dict(resources_per_worker or {})
    resources.setdefault("CPU", 1)
    held = resources.setdefault("TPU", chips * units)
    if held <= 0:
        raise ValueError(f"TPU resources must be positive, got {held!r}.")
    if (a_slice * num_slices) % held:
        raise ValueError(
            f"Total TPU resources ({a_slice * num_slices}) not divisible by TPUs requested per worker ({held})."
        )
    if a_slice % held:
        raise ValueError(
            f"The requested resources per worker ({held} TPU devices) do not divide evenly into the TPU devices available per slice "
            f"({a_slice}): an uneven distribution of workers over slices is not supported. Ask for a divisor of {a_slice}."
        )
    return int(a_slice * num_slices // held), resources


def get_tpu_num_slices_for_workers(
    topology: str,
    accelerator_type: str,
    num_workers: int,
    resources_per_worker: Mapping[str, float] | None = None,
    tpu_resource_per_chip: int | None = None,
) -> int:
    """How many slices so many workers need; 1 where the arguments describe no slice.

    Example:
        >>> get_tpu_num_slices_for_workers("4x4", "TPU-V6E", num_workers=6)
        2
    """
    if not topology or not accelerator_type:
        return 1
    try:
        of_a_slice, _resources = get_tpu_worker_resources(
            topology,
            accelerator_type,
            resources_per_worker,
            tpu_resource_per_chip=tpu_resource_per_chip,
        )
    except ValueError:
        return 1
    return max(1, math.ceil(num_workers / of_a_slice)) if of_a_slice else 1


def get_tpu_coordinator_env_vars(
    coordinator_address: str,
    num_slices: int,
    slice_id: int,
    coordinator_port: str = DEFAULT_MEGASCALE_PORT,
) -> dict[str, str]:
    """The variables by which the hosts of several slices find one another.

    Args:
        coordinator_address: The host that they meet at.
        num_slices: How many slices there are.
        slice_id: Which of them, from 0.
        coordinator_port: The port that they meet at.
    """
    return {
        "MEGASCALE_COORDINATOR_ADDRESS": coordinator_address,
        "MEGASCALE_PORT": coordinator_port,
        "MEGASCALE_NUM_SLICES": str(num_slices),
        "MEGASCALE_SLICE_ID": str(slice_id),
    }
