"""One task on each host of a slice."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import skate
from skate.util.annotations import RayDeprecationWarning
from skate.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from skate.util.tpu._slices import DEFAULT_TPU_HEAD_RESERVATION_TIMEOUT_S, SlicePlacementGroup

if TYPE_CHECKING:
    from skate.util.placement_group import PlacementGroup


def run_on_slice(
    fn: Any,
    *args: Any,
    topology: str | None = None,
    accelerator_version: str | None = None,
    tpu_slice: SlicePlacementGroup | None = None,
    slice_index: int | None = None,
    num_slices: int = 1,
    chips_per_vm: int | None = None,
    head_reservation_timeout_s: float | None = DEFAULT_TPU_HEAD_RESERVATION_TIMEOUT_S,
    pg_ready_timeout_s: float | None = None,
    **kwargs: Any,
) -> list[skate.ObjectRef[Any]]:
    """Call a remote function once in each bundle of a slice, with the same arguments; waits until the slice is reserved.

    Each call holds no CPU and its bundle's chips, whatever the function's own options say.

    Args:
        fn: A function made remote by `skate.remote`.
        *args: Its positional arguments.
        topology: Of the slice to reserve; needed without `tpu_slice`, as is the next.
        accelerator_version: The generation of the slice to reserve.
        tpu_slice: A slice reserved before. It stays as it is. Without it, one is reserved, and stays until this program ends.
        slice_index: Of `tpu_slice`, which was made with `pg_per_slice`, this slice only.
        num_slices: How many slices to reserve.
        chips_per_vm: How many chips a host has; default: what is usual for that topology.
        head_reservation_timeout_s: How many seconds to wait for each slice of several hosts; None: for ever.
        pg_ready_timeout_s: How many seconds to wait for the hosts; None: for ever.
        **kwargs: The function's arguments by name.

    Returns:
        A ref for each bundle, in their order.

    Raises:
        TypeError: `fn` is not remote.
        ValueError: an argument is missing or not as described, or `tpu_slice` has been shut down.
        TimeoutError: the slice was not reserved in that time.
    """
    if not hasattr(fn, "options"):
        raise TypeError(
            f"fn must be a @ray.remote-decorated function, but got {type(fn).__name__!r} which has no .options() method."
        )
    _check_index(tpu_slice, slice_index)
    held = tpu_slice
    if held is None:
        if topology is None or accelerator_version is None:
            raise ValueError("topology and accelerator_version are required when tpu_slice is not provided.")
        held = SlicePlacementGroup(
            topology,
            accelerator_version,
            num_slices=num_slices,
            chips_per_vm=chips_per_vm,
            head_reservation_timeout_s=head_reservation_timeout_s,
        )
    try:
        groups = _groups(held, slice_index)
        _wait(groups, pg_ready_timeout_s)
        if held is not tpu_slice:
            held.release_head_pgs()
        chips = held.bundle_resources["TPU"]
        return [
            fn.options(
                num_cpus=0,
                resources={"TPU": chips},
                scheduling_strategy=PlacementGroupSchedulingStrategy(
                    group, placement_group_bundle_index=bundle
                ),
            ).remote(*args, **kwargs)
            for group in groups
            for bundle in range(group.bundle_count)
        ]
    except BaseException:
        if held is not tpu_slice:
            held.shutdown()  # the caller has nothing to give it back with
        raise


def _check_index(held: SlicePlacementGroup | None, index: int | None) -> None:
    if index is None:
        return
    if held is None:
        raise ValueError("slice_index can only be used when an existing tpu_slice is provided.")
    if not held.has_group_per_slice:
        raise ValueError("slice_index can only be used when tpu_slice was created with pg_per_slice=True.")
    if not 0 <= index < held.num_slices:
        raise ValueError(f"Invalid slice_index {index}. Must be between 0 and {held.num_slices - 1}.")


def _groups(held: SlicePlacementGroup, index: int | None) -> list[PlacementGroup]:
    if held.has_group_per_slice:
        groups = held.slice_placement_groups
    else:
        groups = [held.placement_group] if held.placement_group else []
    if not groups:
        raise ValueError(
            "The provided tpu_slice has already been shut down. Reserve another, or pass topology and accelerator_version instead."
        )
    return groups if index is None else [groups[index]]


def _wait(groups: list[PlacementGroup], timeout_s: float | None) -> None:
    ready, waiting = skate.wait(
        [group.ready() for group in groups], num_returns=len(groups), timeout=timeout_s
    )
    if waiting:
        raise TimeoutError(
            f"TPU slice placement group was not ready within {timeout_s}s: the slice's nodes have not enough free TPUs. Available "
            f"resources: {skate.available_resources()}."
        )
    skate.get(ready)  # raises if a group has been removed


def dispatch(*args: Any, **kwargs: Any) -> list[skate.ObjectRef[Any]]:
    """The former name of `run_on_slice`."""
    warnings.warn("dispatch has been renamed: use run_on_slice.", RayDeprecationWarning, stacklevel=2)
    return run_on_slice(*args, **kwargs)
