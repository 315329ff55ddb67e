"""The resources that a trial holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skate.air.execution import ResourceRequest

__all__ = [
    "PlacementGroupFactory",
    "can_place",
    "resource_dict_to_pg_factory",
]


class PlacementGroupFactory(ResourceRequest):
    """The bundles of resources that each trial holds.

    The trial itself holds the first bundle; the others are for the tasks and actors that it starts.

    Args:
        bundles: Resources by name, such as `[{"CPU": 1}, {"CPU": 1, "GPU": 1}]`. An empty first one means that the
            trial itself holds nothing.
        strategy: How the bundles are spread over hosts: "PACK", "SPREAD", "STRICT_PACK" or "STRICT_SPREAD".
        *args: Passed on to the placement group.
        **kwargs: Passed on to the placement group.

    Raises:
        ValueError: there is no bundle, or nothing in any.

    Example:
        >>> PlacementGroupFactory([{"CPU": 1}, {"CPU": 2}]).required_resources
        {'CPU': 3.0}
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make the placement group."""
        return self.to_placement_group()


def resource_dict_to_pg_factory(spec: Any = None) -> PlacementGroupFactory:
    """One bundle from a dictionary.

    Args:
        spec: Resources by name; "cpu" and "gpu" may be written small, and custom ones may stand in a dictionary of
            their own under "custom_resources". None: one CPU.

    Returns:
        The bundle.

    Raises:
        ValueError: an amount is no number, or nothing is held at all.
    """
    resources: dict[str, Any] = dict(spec or {"cpu": 1})
    bundle: dict[str, float] = {}
    custom = resources.pop("custom_resources", None) or {}
    for name, amount in {**resources, **custom}.items():
        if amount is None:
            continue
        if isinstance(amount, bool) or not isinstance(amount, int | float):
            raise ValueError(f"the amount of the resource {name!r} must be a number, not {amount!r}.")
        bundle[{"cpu": "CPU", "gpu": "GPU"}.get(name, name)] = amount
    return PlacementGroupFactory([bundle])


_MOST_LOOKS = 500
"""Ways to begin that are looked at before bundles are taken to fit: then they wait for room, instead of being refused."""


def can_place(
    bundles: Sequence[Mapping[str, float]], strategy: str, hosts: Sequence[Mapping[str, float]]
) -> bool:
    """Whether hosts that hold nothing else could hold bundles; where that takes too long to find out, that they could.

    Args:
        bundles: What each bundle holds.
        strategy: How they are spread over hosts.
        hosts: What each host has.

    Example:
        >>> can_place([{"CPU": 1}, {"CPU": 1}], "STRICT_SPREAD", [{"CPU": 4}])
        False
    """
    if strategy == "STRICT_PACK":
        total: dict[str, float] = {}
        for bundle in bundles:
            for name, amount in bundle.items():
                total[name] = total.get(name, 0.0) + amount
        return any(_fits(total, host) for host in hosts)
    left = [dict(host) for host in hosts]
    largest_first = sorted(bundles, key=lambda each: -sum(each.values()))
    looks = 0

    def place(at: int, left: list[dict[str, float]]) -> bool:
        nonlocal looks
        looks += 1
        if at == len(largest_first) or looks > _MOST_LOOKS:
            return True
        bundle, tried = largest_first[at], []
        for number, host in enumerate(left):
            if host in tried or not _fits(bundle, host):
                continue  # hosts that have the same left are alike
            tried.append(host)
            rest = {name: amount - bundle.get(name, 0.0) for name, amount in host.items()}
            others = [*left[:number], *left[number + 1 :]]
            if place(at + 1, others if strategy == "STRICT_SPREAD" else [*others, rest]):
                return True
        return False

    return place(0, left)


def _fits(bundle: Mapping[str, float], host: Mapping[str, float]) -> bool:
    return all(amount <= host.get(name, 0.0) + 1e-9 for name, amount in bundle.items())
