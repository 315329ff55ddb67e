"""A request for resources: bundles, the first of which is held by the process that leads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "AcquiredResources",
    "ResourceRequest",
    "options_of",
]


class ResourceRequest:
    """Bundles of resources that are held together.

    Args:
        bundles: Resources by name, such as `{"CPU": 1, "GPU": 0.5}`. The first is for the leading process, which may
            hold nothing; the others are for what it starts.
        strategy: How the bundles are spread over hosts.
        *args: Passed on to the placement group.
        **kwargs: Passed on to the placement group.

    Raises:
        ValueError: there is no bundle, or nothing in any.
    """

    def __init__(
        self,
        bundles: Sequence[Mapping[str, float]],
        strategy: str = "PACK",
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if not bundles:
            raise ValueError(f"Cannot initialize a {type(self).__name__} with zero bundles.")
        held = [{name: float(amount) for name, amount in bundle.items() if amount != 0} for bundle in bundles]
        self._head_is_empty = not held[0]
        if self._head_is_empty:
            held.pop(0)
        if not held:
            raise ValueError(
                f"Cannot initialize a {type(self).__name__} with an empty head and zero worker bundles."
            )
        self._bundles = held
        self._strategy = strategy
        self._args = args
        self._kwargs = kwargs

    @property
    def head_bundle_is_empty(self) -> bool:
        """Whether the leading process holds nothing."""
        return self._head_is_empty

    @property
    def head_cpus(self) -> float:
        """CPUs that the leading process holds."""
        return 0.0 if self._head_is_empty else self._bundles[0].get("CPU", 0.0)

    @property
    def head_bundle(self) -> dict[str, float]:
        """What the leading process holds."""
        return {} if self._head_is_empty else dict(self._bundles[0])

    @property
    def bundles(self) -> list[dict[str, float]]:
        """The bundles that hold something."""
        return [dict(bundle) for bundle in self._bundles]

    @property
    def required_resources(self) -> dict[str, float]:
        """The sum over all bundles."""
        total: dict[str, float] = {}
        for bundle in self._bundles:
            for name, amount in bundle.items():
                total[name] = total.get(name, 0.0) + amount
        return total

    @property
    def strategy(self) -> str:
        """How the bundles are spread over hosts."""
        return self._strategy

    def to_placement_group(self) -> Any:
        """Make a placement group of the bundles.

        Returns:
            What `skate.util.placement_group` returns.
        """
        from skate.util import placement_group

        return placement_group(self._bundles, self._strategy, *self._args, **self._kwargs)

    def _key(self) -> str:
        return json.dumps([self._bundles, self._head_is_empty, self._strategy], sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResourceRequest) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} (bundles={self._bundles}, strategy={self._strategy!r}, "
            f"head_bundle_is_empty={self._head_is_empty})>"
        )


@dataclass
class AcquiredResources:
    """A request that has been granted."""

    resource_request: ResourceRequest

    def annotate_remote_entities(self, entities: Sequence[Any]) -> list[Any]:
        """Let remote functions and actor classes run with what is held: a bundle each, in order.

        Args:
            entities: Remote functions and actor classes.

        Returns:
            The same with options.

        Raises:
            RuntimeError: there are more than bundles.
        """
        empty = self.resource_request.head_bundle_is_empty
        bundles = len(self.resource_request.bundles)
        if len(entities) > bundles + empty:
            raise RuntimeError(
                f"The number of entities to annotate ({len(entities)}) is larger than the number of bundles ({bundles + empty})."
            )
        return [
            entity.options(**(self._head_options() if empty and not place else self._options(place - empty)))
            for place, entity in enumerate(entities)
        ]

    def _options(self, index: int) -> dict[str, Any]:
        return options_of(self.resource_request.bundles[index])

    def _head_options(self) -> dict[str, Any]:
        return {"num_cpus": 0}


def options_of(bundle: Mapping[str, float]) -> dict[str, Any]:
    """The options of a task or an actor that holds a bundle."""
    options: dict[str, Any] = {"num_cpus": bundle.get("CPU", 0)}
    if bundle.get("GPU"):
        options["num_gpus"] = bundle["GPU"]
    if bundle.get("memory"):
        options["memory"] = bundle["memory"]
    custom = {name: amount for name, amount in bundle.items() if name not in ("CPU", "GPU", "memory")}
    if custom:
        options["resources"] = custom
    return options
