"""Which trials have room. Counts only: it asks nobody and starts nothing."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skate.tune.execution.placement_groups import PlacementGroupFactory

__all__ = [
    "Budget",
]

_TOLERANCE = 1e-9


class Budget:
    """Resources that trials share.

    A trial counts with all of its bundles, though its own process holds only the first: what it starts later finds room.

    Args:
        total: What there is, by name.
    """

    def __init__(self, total: Mapping[str, float]) -> None:
        self._total = dict(total)
        self._held: dict[Hashable, dict[str, float]] = {}
        self._used: dict[str, float] = {}

    @property
    def total(self) -> dict[str, float]:
        """What there is."""
        return dict(self._total)

    @property
    def used(self) -> dict[str, float]:
        """What is held."""
        return {name: amount for name, amount in self._used.items() if amount > _TOLERANCE}

    def set_total(self, total: Mapping[str, float]) -> None:
        """Take note that there is more or less."""
        self._total = dict(total)

    def fits_ever(self, request: PlacementGroupFactory) -> bool:
        """Whether there would be room if nothing else was held."""
        return not self.missing(request)

    def missing(self, request: PlacementGroupFactory) -> dict[str, float]:
        """What a request asks for beyond all there is."""
        return {
            name: amount
            for name, amount in request.required_resources.items()
            if amount > self._total.get(name, 0.0) + _TOLERANCE
        }

    def has_room(self, request: PlacementGroupFactory) -> bool:
        """Whether there is room now."""
        return all(
            self._used.get(name, 0.0) + amount <= self._total.get(name, 0.0) + _TOLERANCE
            for name, amount in request.required_resources.items()
        )

    def hold(self, who: Hashable, request: PlacementGroupFactory) -> None:
        """Take note that somebody holds what they asked for.

        Raises:
            ValueError: they hold something already.
        """
        if who in self._held:
            raise ValueError(f"{who!r} holds {self._held[who]} already.")
        self._held[who] = request.required_resources
        for name, amount in self._held[who].items():
            self._used[name] = self._used.get(name, 0.0) + amount

    def release(self, who: Hashable) -> None:
        """Take note that they hold it no more; no error if they hold nothing."""
        for name, amount in self._held.pop(who, {}).items():
            self._used[name] -= amount
