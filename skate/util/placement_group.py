"""Placement groups: resources reserved together, in bundles, for tasks and actors that belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import skate
from skate._api import (
    _create_placement_group,
    _find_placement_group,
    _placement_group_ready,
    _placement_group_table,
    _remove_placement_group,
)

VALID_PLACEMENT_GROUP_STRATEGIES = {"PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"}

_NODE_LABEL = "ray.io/node-id"


class PlacementGroup:
    """A placement group. Handles to the same group are equal; they can be sent to tasks and actors.

    Args:
        id: Its id.
        bundle_cache: What its bundles reserve, where known.

    Attributes:
        id: As given.
        bundle_cache: As given, or asked for when it is first needed.
    """

    def __init__(
        self, id: skate.PlacementGroupID, bundle_cache: list[dict[str, float]] | None = None
    ) -> None:
        self.id = id
        self.bundle_cache = bundle_cache

    @staticmethod
    def empty() -> PlacementGroup:
        """The group that is none: what runs in it runs anywhere."""
        return PlacementGroup(skate.PlacementGroupID.nil())

    @property
    def is_empty(self) -> bool:
        """Whether this is no group."""
        return self.id.is_nil()

    def ready(self) -> skate.ObjectRef[PlacementGroup]:
        """A ref that has a value, the group itself, as soon as all its bundles are reserved.

        If the group is removed before that, `get` of the ref raises `TaskPlacementGroupRemoved`.
        """
        ref: skate.ObjectRef[PlacementGroup] = _placement_group_ready(self.id.hex(), self)
        return ref

    def wait(self, timeout_seconds: float = 30) -> bool:
        """Wait until all bundles are reserved; False if `timeout_seconds` passed first.

        Raises:
            Exception: the group has been removed, or never was.
        """
        ref = self.ready()
        ready, _rest = skate.wait([ref], timeout=timeout_seconds)
        if not ready:
            # The answer may still be on its way, above all if there was no time to wait for it.
            return bool(placement_group_table(self).get("state") == "CREATED")
        try:
            skate.get(ref)
        except skate.exceptions.TaskPlacementGroupRemoved as error:
            raise Exception(f"Placement group {self.id} does not exist.") from error
        return True

    @property
    def bundle_specs(self) -> list[dict[str, float]]:
        """What each bundle reserves.

        Raises:
            KeyError: this is no group.
        """
        if self.bundle_cache is None:
            row = placement_group_table(self)
            self.bundle_cache = [dict(bundle) for bundle in row["bundles"].values()]
        return self.bundle_cache

    @property
    def bundle_count(self) -> int:
        """How many bundles it has."""
        return len(self.bundle_specs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlacementGroup) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"PlacementGroup({self.id.hex()})"


def placement_group(
    bundles: list[dict[str, float]],
    strategy: str | None = None,
    name: str = "",
    lifetime: str | None = None,
    _soft_target_node_id: str | None = None,
    bundle_label_selector: list[dict[str, str]] | None = None,
    topology_strategy: dict[str, str] | None = None,
) -> PlacementGroup:
    """Reserve bundles of resources, all or none. Returns at once; `ready()` and `wait()` tell when they are reserved.

    Args:
        bundles: What each bundle reserves, such as `[{"CPU": 1}, {"CPU": 1, "GPU": 0.5}]`.
        strategy: "PACK" (on as few nodes as can be; the default), "SPREAD" (on as many), "STRICT_PACK" (on one node) or
            "STRICT_SPREAD" (each on a node of its own).
        name: What `get_placement_group` finds it under, in this namespace.
        lifetime: "detached" to stay when the program that made it leaves the session; None to go with it.
        bundle_label_selector: For each bundle, the labels that its node must have.
        topology_strategy: Strategies by label: that of "ray.io/node-id" stands for `strategy`; `{"zone": "STRICT_PACK"}` keeps the bundles
            on nodes that have the same value of the label "zone".

    Raises:
        ValueError: an argument is not as described.
        RaySystemError: the name is taken.

    Example:
        >>> import skate
        >>> from skate.util.scheduling_strategies import PlacementGroupSchedulingStrategy
        >>> with skate.init(num_cpus=2):
        ...     group = skate.util.placement_group([{"CPU": 1}, {"CPU": 1}])
        ...     assert group.wait(10)
        ...     where = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=1)
        ...     task = skate.remote(lambda: skate.get_runtime_context().get_placement_group_id())
        ...     assert skate.get(task.options(scheduling_strategy=where).remote()) == group.id.hex()
        ...     skate.util.remove_placement_group(group)
    """
    validate_placement_group(
        bundles, strategy, lifetime, _soft_target_node_id, bundle_label_selector, topology_strategy
    )
    if not isinstance(name, str):
        raise TypeError(f"Placement group name={name!r}: a string is needed, got {type(name).__name__}.")
    chosen = strategy or (topology_strategy or {}).get(_NODE_LABEL) or "PACK"
    id = _create_placement_group(
        {
            "bundles": bundles,
            "strategy": chosen,
            "name": name,
            "detached": lifetime == "detached",
            "selectors": bundle_label_selector or [],
            "target": _soft_target_node_id or "",
            "alike": [label for label in topology_strategy or {} if label != _NODE_LABEL],
        }
    )
    specs = [{name: float(amount) for name, amount in bundle.items()} for bundle in bundles]
    return PlacementGroup(skate.PlacementGroupID.from_hex(id), specs)


def remove_placement_group(placement_group: PlacementGroup) -> None:
    """Free what a group has reserved. Tasks and actors that run in it are ended; one that is removed already stays so.

    Raises:
        TypeError: that is no placement group.
    """
    _remove_placement_group(_checked(placement_group).id.hex())


def get_placement_group(placement_group_name: str) -> PlacementGroup:
    """The group of that name in this namespace.

    Raises:
        ValueError: there is none, or the name is empty.
    """
    if not placement_group_name:
        raise ValueError("Please supply a non-empty value to get_placement_group")
    found = _find_placement_group(placement_group_name)
    if found is None:
        raise ValueError(
            f"Failed to look up placement group with name: {placement_group_name}. Was it created with name=…, in this namespace, and "
            "not removed?"
        )
    return PlacementGroup(skate.PlacementGroupID.from_hex(found[0]), found[1])


def placement_group_table(placement_group: PlacementGroup | None = None) -> dict[str, Any]:
    """What is known of a group: its state, its bundles and their nodes; without a group, of all of them by id.

    Raises:
        TypeError: that is no placement group.
    """
    if placement_group is None:
        return _placement_group_table("")
    id = _checked(placement_group).id.hex()
    return _placement_group_table(id).get(id, {})


def get_current_placement_group() -> PlacementGroup | None:
    """The group of the task or actor that asks; None in a driver, or outside any group."""
    id = skate.get_runtime_context().get_placement_group_id()
    return None if id is None else PlacementGroup(skate.PlacementGroupID.from_hex(id))


def check_placement_group_index(placement_group: PlacementGroup, bundle_index: int) -> None:
    """Check that a group has a bundle of that index; -1 means any.

    Raises:
        ValueError: it has not.
    """
    if placement_group.is_empty:
        if bundle_index != -1:
            raise ValueError("If placement group is not set, the value of bundle index must be -1.")
    elif not -1 <= bundle_index < placement_group.bundle_count:
        raise ValueError(
            f"placement group bundle index {bundle_index} is invalid. Valid placement group indexes: "
            f"0-{placement_group.bundle_count - 1}"
        )


def validate_placement_group(
    bundles: list[dict[str, float]],
    strategy: str | None = None,
    lifetime: str | None = None,
    _soft_target_node_id: str | None = None,
    bundle_label_selector: list[dict[str, str]] | None = None,
    topology_strategy: dict[str, str] | None = None,
) -> bool:
    """Check the arguments of `placement_group`. True if they are fine.

    Raises:
        ValueError: one is not.
    """
    if not isinstance(topology_strategy, Mapping | None):
        raise ValueError(f"`topology_strategy` must be a dict, got {type(topology_strategy).__name__}.")
    for label, each in (topology_strategy or {}).items():
        if not isinstance(label, str) or not label:
            raise ValueError(f"`topology_strategy` keys must be non-empty strings, got {label!r}.")
        _check_strategy(each, f"topology strategy {each!r} for label {label!r}")
        if label != _NODE_LABEL and each != "STRICT_PACK":
            raise ValueError(
                f"Topology strategy {each!r} for label {label!r} is not supported yet; only 'STRICT_PACK' is supported for topology "
                f"labels other than `{_NODE_LABEL}`."
            )
    if topology_strategy:
        if strategy is not None:
            raise ValueError(
                "`strategy` and `topology_strategy` cannot both be specified. Give the strategy of nodes as "
                f"topology_strategy[{_NODE_LABEL!r}]."
            )
        strategy = topology_strategy.get(_NODE_LABEL)
    _check_bundles(bundles)
    if strategy is not None:
        _check_strategy(strategy, f"placement group strategy {strategy}")
    if lifetime not in (None, "detached"):
        raise ValueError(
            f"Placement group `lifetime` argument must be either `None` or 'detached'. Got {lifetime}."
        )
    if _soft_target_node_id is not None:
        if strategy != "STRICT_PACK":
            raise ValueError(
                f"_soft_target_node_id currently only works with STRICT_PACK but got {strategy or 'PACK'}"
            )
        if not _is_node_id(_soft_target_node_id):
            raise ValueError(f"Invalid hex ID of _soft_target_node_id, got {_soft_target_node_id}")
    if bundle_label_selector is not None:
        _check_selectors(bundle_label_selector, len(bundles))
    return True


def _checked(group: Any) -> PlacementGroup:
    if not isinstance(group, PlacementGroup):
        raise TypeError(f"a placement group is needed, as placement_group() returns it; got {group!r}.")
    return group


def _check_strategy(strategy: Any, what: str) -> None:
    if strategy not in VALID_PLACEMENT_GROUP_STRATEGIES:
        raise ValueError(
            f"Invalid {what}. Supported strategies are: {sorted(VALID_PLACEMENT_GROUP_STRATEGIES)}."
        )


_EXAMPLE = (
    'Bundles must be a non-empty list of resource dictionaries. For example: `[{"CPU": 1.0}, {"GPU": 1.0}]`.'
)


def _check_bundles(bundles: Any) -> None:
    if not isinstance(bundles, list):
        raise ValueError(f"Placement group bundles must be a list, got {type(bundles)}.")
    if not bundles:
        raise ValueError(f"{_EXAMPLE} Got empty list instead.")
    for bundle in bundles:
        if not isinstance(bundle, Mapping) or not all(
            isinstance(name, str) and isinstance(amount, int | float) for name, amount in bundle.items()
        ):
            raise ValueError(f"{_EXAMPLE} Got {bundle!r}.")
        if any(amount < 0 for amount in bundle.values()):
            raise ValueError(f"Bundles cannot reserve negative amounts. Bundle: {bundle}")
        if not any(amount > 0 for amount in bundle.values()):
            raise ValueError(
                f"Bundles cannot be an empty dictionary or resources with only 0 values. Bundles: {bundles}"
            )


def _check_selectors(selectors: Any, count: int) -> None:
    if not isinstance(selectors, list):
        raise ValueError(f"Placement group bundle_label_selector must be a list, got {type(selectors)}.")
    if selectors and len(selectors) != count:
        raise ValueError(
            f"Invalid bundle label selector {selectors}. The length of `bundle_label_selector` should equal the length of `bundles`."
        )
    for selector in selectors:
        if not _is_selector(selector):
            raise ValueError(
                "Bundle label selector must be a list of string dictionary label selectors. For example: "
                f'`[{{"ray.io/market-type": "spot"}}, {{"ray.io/accelerator-type": "A100"}}]`. Got {selector!r}.'
            )
        try:
            skate.remote(label_selector=dict(selector))(_check_selectors)
        except ValueError as error:
            raise ValueError(
                f"Invalid label selector provided in bundle_label_selector list. Detailed error: '{error}'"
            ) from error


def _is_selector(selector: Any) -> bool:
    return isinstance(selector, Mapping) and all(
        isinstance(label, str) and isinstance(value, str) for label, value in selector.items()
    )


def _is_node_id(text: Any) -> bool:
    if not isinstance(text, str) or len(text) != 2 * skate.NodeID.size():
        return False
    return not set(text.lower()) - set("0123456789abcdef")


__all__: Sequence[str] = [
    "VALID_PLACEMENT_GROUP_STRATEGIES",
    "PlacementGroup",
    "check_placement_group_index",
    "get_current_placement_group",
    "get_placement_group",
    "placement_group",
    "placement_group_table",
    "remove_placement_group",
    "validate_placement_group",
]
