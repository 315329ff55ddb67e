"""Placement groups: reserving two bundles, waiting for them and giving them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.measure import Measured, check, sample

if TYPE_CHECKING:
    from benchmarks.session import Session

__all__ = ["create_and_remove"]

_BUNDLES = [{"CPU": 1}, {"CPU": 0.5}]
_ROUNDS = 5


def create_and_remove(session: Session) -> dict[str, Measured]:
    """Create a group, wait until it is ready, and remove it; again and again."""
    with session.open() as ray:
        made = ray.util.placement_group(_BUNDLES)
        check(ray.get(made.ready()).id, made.id)
        ray.util.remove_placement_group(made)

        def rounds() -> None:
            for _ in range(_ROUNDS):
                group = ray.util.placement_group(_BUNDLES)
                ray.get(group.ready())
                ray.util.remove_placement_group(group)

        return {"seconds": Measured(sample(session, rounds, items=_ROUNDS))}
