"""Slices reserved: a host's first resource claims the slice, then a placement group takes all its hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import skate
from skate.util.placement_group import (
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from skate.util.tpu._nodes import POD_TYPE, SLICE_NAME, WORKER_ID, get_tpu_slice_name_from_node
from skate.util.tpu._shapes import (
    get_chips_per_host,
    get_num_chips_from_topology,
    get_tpu_resource_per_chip,
    get_tpu_version_from_type,
    get_tpu_worker_resources,
    infer_tpu_pod_type_from_topology,
    is_valid_topology,
)

DEFAULT_TPU_HEAD_RESERVATION_TIMEOUT_S = 100.0


def reserve_tpu_slice(
    topology: str,
    accelerator_type: str,
    timeout_s: float | None = DEFAULT_TPU_HEAD_RESERVATION_TIMEOUT_S,
    slice_name: str | None = None,
) -> tuple[str, PlacementGroup] | None:
    """Claim a slice of several hosts by the "TPU-<pod type>-head" of its first; waits until one is free.

    Args:
        topology: Such as "4x4".
        accelerator_type: Such as "TPU-V6E".
        timeout_s: How many seconds to wait; None: for ever.
        slice_name: Which slice; default: any.

    Returns:
        The slice's name, and the placement group to remove when the slice is to be given back; None if `topology` or
        `accelerator_type` is empty.

    Raises:
        TimeoutError: none was free in that time.
        RuntimeError: the first host of the slice doesn't say what the slice is called.
    """
    pod_type = infer_tpu_pod_type_from_topology(topology, accelerator_type)
    if pod_type is None:
        return None
    selector = {WORKER_ID: "0", POD_TYPE: pod_type}
    if slice_name is not None:
        selector[SLICE_NAME] = slice_name
    head = placement_group([{f"TPU-{pod_type}-head": 1}], bundle_label_selector=[selector])
    try:
        ready, _waiting = skate.wait([head.ready()], timeout=timeout_s)
        if not ready:
            raise TimeoutError(
                f"Failed to reserve TPU head for slice with shape: {pod_type} after {timeout_s} seconds: no node with the labels "
                f"{selector} has a TPU-{pod_type}-head to give. Available resources: {skate.available_resources()}."
            )
        [node_id] = placement_group_table(head)["bundles_to_node_id"].values()
        [name] = [get_tpu_slice_name_from_node(node) for node in skate.nodes() if node["NodeID"] == node_id]
        if name is None:
            raise RuntimeError(
                f"Failed to retrieve TPU slice name after reserving head placement group: node {node_id} has no label {SLICE_NAME}. "
                "Start each host of a slice with that label."
            )
    except BaseException:
        remove_placement_group(head)  # the caller has nothing to give it back with
        raise
    return name, head


class SlicePlacementGroup:
    """Slices reserved as a whole, with a bundle for each worker.

    Args:
        topology: Of each slice, such as "4x4".
        accelerator_version: The generation, such as "v6e".
        resources_per_bundle: What a bundle reserves; default: a CPU, and the chips of a host.
        strategy: As for `placement_group`.
        name: As for `placement_group`; with `pg_per_slice`, "_slice_<n>" is added.
        lifetime: As for `placement_group`.
        num_slices: How many slices.
        chips_per_vm: How many chips a host has; default: what is usual for that topology.
        head_reservation_timeout_s: How many seconds to wait for each slice of several hosts; None: for ever.
        bundle_label_selector: For each bundle, labels that its node must have, beside the name of its slice. A slice whose bundles
            name one ("ray.io/tpu-slice-name") is that one.
        pg_per_slice: Make a placement group for each slice, instead of one for all.
        tpu_resource_per_chip: Units of "TPU" a chip; default: `get_tpu_resource_per_chip()`.

    Raises:
        ValueError: an argument is not as described, or there is no such topology of that generation.
        TimeoutError: there was no free slice in `head_reservation_timeout_s`.

    Example:
        >>> import skate
        >>> labels = {"ray.io/tpu-pod-type": "v6e-8", "ray.io/tpu-topology": "2x4"}
        >>> with skate.init(num_cpus=1, resources={"TPU": 8}, labels=labels):
        ...     held = SlicePlacementGroup("2x4", "v6e")
        ...     assert held.placement_group.wait(10)
        ...     held.num_hosts, held.bundle_resources
        ...     held.shutdown()
        (1, {'CPU': 1, 'TPU': 8})
    """

    def __init__(
        self,
        topology: str,
        accelerator_version: str,
        resources_per_bundle: dict[str, float] | None = None,
        strategy: str = "SPREAD",
        name: str = "",
        lifetime: str | None = None,
        num_slices: int = 1,
        chips_per_vm: int | None = None,
        head_reservation_timeout_s: float | None = DEFAULT_TPU_HEAD_RESERVATION_TIMEOUT_S,
        bundle_label_selector: list[dict[str, str]] | None = None,
        pg_per_slice: bool = False,
        tpu_resource_per_chip: int | None = None,
    ) -> None:
        self._topology = topology.strip().lower()
        self._accelerator_version = get_tpu_version_from_type(accelerator_version.strip())
        self._num_slices = num_slices
        self._pg_per_slice = pg_per_slice
        self._units = get_tpu_resource_per_chip() if tpu_resource_per_chip is None else tpu_resource_per_chip
        self._num_bundles, self._bundle_resources = get_tpu_worker_resources(
            self._topology,
            self._accelerator_version,
            resources_per_bundle,
            num_slices,
            chips_per_vm,
            self._units,
        )
        self._chips_per_host = (
            get_chips_per_host(self._topology, self._accelerator_version)
            if chips_per_vm is None
            else chips_per_vm
        )
        if not is_valid_topology(self._accelerator_version, self._topology):
            raise ValueError(
                f"Invalid accelerator topology: '{self._topology}' for accelerator version: '{self._accelerator_version}'"
            )
        asked = bundle_label_selector or []
        if asked and len(asked) != self._num_bundles:
            raise ValueError(
                f"bundle_label_selector length ({len(asked)}) must match the number of bundles ({self._num_bundles})."
            )
        self._heads: list[PlacementGroup | None] = []
        self._groups: list[PlacementGroup] = []
        self._selectors: list[dict[str, str]] = []
        try:
            self._reserve(asked or [{}] * self._num_bundles, head_reservation_timeout_s)
            self._make_groups(strategy, name, lifetime)
        except BaseException:
            self.shutdown()
            raise

    def _reserve(self, asked: Sequence[dict[str, str]], timeout_s: float | None) -> None:
        """Settle which slices these are, and what each bundle asks of its node."""
        of_a_slice = self._num_bundles // self._num_slices
        one_host = get_num_chips_from_topology(self._topology) <= self._chips_per_host
        for number in range(self._num_slices):
            own = asked[number * of_a_slice : (number + 1) * of_a_slice]
            place = {} if one_host else {SLICE_NAME: self._slice_name(own, timeout_s)}
            self._selectors += [{**(labels or {}), **place} for labels in own]

    def _slice_name(self, asked: Sequence[dict[str, str]], timeout_s: float | None) -> str:
        named = [labels[SLICE_NAME] for labels in asked if labels and SLICE_NAME in labels]
        if named:
            return named[0]
        kind = f"TPU-{self._accelerator_version.upper()}"
        reserved = reserve_tpu_slice(self._topology, kind, timeout_s)
        assert reserved is not None  # neither is empty
        self._heads.append(reserved[1])
        return reserved[0]

    def _make_groups(self, strategy: str, name: str, lifetime: str | None) -> None:
        count = self._num_slices if self._pg_per_slice else 1
        size = self._num_bundles // count
        for number in range(count):
            suffix = f"_slice_{number}" if name and self._pg_per_slice else ""
            self._groups.append(
                placement_group(
                    [dict(self._bundle_resources) for _bundle in range(size)],
                    strategy=strategy,
                    name=name + suffix,
                    lifetime=lifetime,
                    bundle_label_selector=self._selectors[number * size : (number + 1) * size],
                )
            )

    @property
    def slice_placement_group(self) -> PlacementGroup | None:
        """The group; None after `shutdown`.

        Raises:
            ValueError: there is one for each slice.
        """
        if self._pg_per_slice:
            raise ValueError("pg_per_slice=True, use `slice_placement_groups` instead.")
        return self._groups[0] if self._groups else None

    @property
    def placement_group(self) -> PlacementGroup | None:
        """The same as `slice_placement_group`."""
        return self.slice_placement_group

    @property
    def slice_placement_groups(self) -> list[PlacementGroup]:
        """The group of each slice.

        Raises:
            ValueError: there is one for all of them.
        """
        if not self._pg_per_slice:
            raise ValueError("pg_per_slice=False, use `slice_placement_group` instead.")
        return self._groups

    @property
    def has_group_per_slice(self) -> bool:
        """Whether each slice has a group of its own."""
        return self._pg_per_slice

    @property
    def chips_per_host(self) -> int:
        """How many chips a host has."""
        return self._chips_per_host

    @property
    def devices_per_host(self) -> int:
        """How many units of "TPU" a host has."""
        return self._chips_per_host * self._units

    @property
    def tpu_resource_per_chip(self) -> int:
        """How many units of "TPU" stand for a chip."""
        return self._units

    @property
    def num_hosts(self) -> int:
        """How many hosts all slices have."""
        chips = get_num_chips_from_topology(self._topology)
        return max(1, chips // self._chips_per_host) * self._num_slices

    @property
    def num_bundles(self) -> int:
        """How many bundles there are, in all slices."""
        return self._num_bundles

    @property
    def topology(self) -> str:
        """The topology of each slice."""
        return self._topology

    @property
    def accelerator_version(self) -> str:
        """The generation."""
        return self._accelerator_version

    @property
    def num_slices(self) -> int:
        """How many slices there are."""
        return self._num_slices

    @property
    def head_placement_groups(self) -> list[PlacementGroup]:
        """Those that claim the slices, and have not been released."""
        return [head for head in self._heads if head is not None]

    @property
    def bundle_label_selector(self) -> list[dict[str, str]]:
        """For each bundle, the labels that its node must have."""
        return self._selectors

    @property
    def bundle_resources(self) -> dict[str, float]:
        """What each bundle reserves."""
        return self._bundle_resources

    def release_head_pgs(self, slice_index: int | None = None) -> None:
        """Give up the claims on the slices: once the group is ready, it holds all their chips.

        Args:
            slice_index: Of which slice; default: of all.

        Raises:
            ValueError: there is no claim of that index.
        """
        if slice_index is not None and not 0 <= slice_index < len(self._heads):
            raise ValueError(f"Invalid slice_index: {slice_index}. There are {len(self._heads)} claims.")
        chosen = range(len(self._heads)) if slice_index is None else [slice_index]
        for index in chosen:
            head, self._heads[index] = self._heads[index], None
            if head is not None:
                remove_placement_group(head)

    def shutdown(self) -> None:
        """Give everything back. Does nothing the second time."""
        groups, self._groups = self._groups, []
        for group in groups:
            remove_placement_group(group)
        self.release_head_pgs()


def slice_placement_group(
    topology: str,
    accelerator_version: str,
    resources_per_bundle: dict[str, float] | None = None,
    num_slices: int = 1,
    chips_per_vm: int | None = None,
    pg_per_slice: bool = False,
    tpu_resource_per_chip: int | None = None,
    **kwargs: Any,
) -> SlicePlacementGroup:
    """Reserve slices: `SlicePlacementGroup` with these arguments, and its others by name."""
    return SlicePlacementGroup(
        topology,
        accelerator_version,
        resources_per_bundle,
        num_slices=num_slices,
        chips_per_vm=chips_per_vm,
        pg_per_slice=pg_per_slice,
        tpu_resource_per_chip=tpu_resource_per_chip,
        **kwargs,
    )
