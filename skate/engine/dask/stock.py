"""What a Dask worker has: amounts in the ledger, GPUs one by one, and the bundles of placement groups set aside from both.

A bundle shows as resources of its own, as those of Ray do: `CPU_group_0_<id>` for the bundle, `CPU_group_<id>` for all of the group's
bundles here. What runs in a group asks for those, so that Dask's scheduler and the ledger need no other rule for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from skate import exceptions
from skate.engine.dask.calls import MARKS, UNIT, group_names
from skate.engine.dask.ledger import Ledger

if TYPE_CHECKING:
    from skate.engine.dask.calls import Placed


class Share:
    """What a task or an actor holds."""

    __slots__ = ("demand", "gpus", "pool")

    def __init__(self, demand: Mapping[str, int], gpus: dict[int, int], pool: dict[int, int]) -> None:
        self.demand = dict(demand)
        self.gpus = gpus
        """By device: how much of it."""
        self.pool = pool
        """Where the devices are from."""


class Bundle:
    """One bundle of a placement group."""

    def __init__(self, demand: Mapping[str, int], gpus: dict[int, int]) -> None:
        self.demand = demand
        self.gpus = gpus
        self.gpu_free = dict(gpus)


class Stock:
    """Amounts are in ten-thousandths."""

    def __init__(self, total: Mapping[str, int]) -> None:
        self.total = dict(total)
        self.ledger = Ledger(total)
        self.gpu_free = dict.fromkeys(range(total.get("GPU", 0) // UNIT), UNIT)
        self.bundles: dict[str, dict[int, Bundle]] = {}
        """By group and index."""

    # -- what runs ----------------------------------------

    async def take(self, demand: Mapping[str, int], placed: Placed | None) -> Share:
        """Wait until `demand` is free, and hold it.

        Raises:
            TaskPlacementGroupRemoved: it is to be in a group that is no more.
            Reschedule: it is to be placed anew.
        """
        if placed is not None and placed.group not in self.bundles:
            raise removed(placed.group)
        await self.ledger.acquire(demand)
        pool, gpus = self._pick(demand, placed)
        return Share(demand, gpus, pool)

    def give(self, share: Share) -> None:
        """Give back all that is held."""
        for index, part in share.gpus.items():
            share.pool[index] += part
        self.ledger.give(share.demand)

    def shrink(self, share: Share, demand: Mapping[str, int]) -> None:
        """Hold `demand` instead, which is less; GPUs are kept."""
        freed = {name: amount - demand.get(name, 0) for name, amount in share.demand.items()}
        share.demand = dict(demand)
        self.ledger.give(freed)

    def _pick(
        self, demand: Mapping[str, int], placed: Placed | None
    ) -> tuple[dict[int, int], dict[int, int]]:
        """Take GPUs: whole ones, or a share of one. Returns where they are from, and which."""
        if placed is None:
            return self.gpu_free, _take(self.gpu_free, demand.get("GPU", 0))
        amount = demand.get(f"GPU_group_{placed.group}", 0)
        bundles = self.bundles.get(placed.group, {})
        for index, bundle in bundles.items() if amount else ():
            if placed.bundle in (-1, index) and (gpus := _take(bundle.gpu_free, amount)):
                return bundle.gpu_free, gpus
        return {}, {}

    # -- placement groups ----------------------------------------

    def reserve(self, group: str, demands: Mapping[int, Mapping[str, int]]) -> bool:
        """Set bundles aside, all or none; False if not enough is free."""
        made: dict[int, Bundle] = {}
        for index, demand in demands.items():
            amount = demand.get("GPU", 0)
            gpus = _take(self.gpu_free, amount)
            if not self.ledger.fits(demand) or (amount and not gpus):
                _put_back(self.gpu_free, gpus)
                for bundle in made.values():
                    self._give_back(bundle)
                return False
            self.ledger.take(demand)
            made[index] = Bundle(demand, gpus)
        self.bundles.setdefault(group, {}).update(made)
        return True

    def open(self, group: str) -> dict[str, int]:
        """Let work into the bundles. Returns the names by which they show, and how much there is of each."""
        shown = self._shown(group)
        for name, amount in shown.items():
            known = self.total.get(name, 0)
            self.total[name] = amount
            self.ledger.add(name, amount - known)
        return shown

    def _shown(self, group: str) -> dict[str, int]:
        shown: dict[str, int] = {}
        for index, bundle in self.bundles.get(group, {}).items():
            whole = {**bundle.demand, "bundle": MARKS}
            for name, amount in whole.items():
                for shown_as in group_names(name, group, index):
                    shown[shown_as] = shown.get(shown_as, 0) + amount
        return shown

    def close(self, group: str) -> list[str]:
        """Let no more work in, and fail what waits. Returns the names by which the bundles showed."""
        names = [name for name in self._shown(group) if name in self.total]
        for name in names:
            del self.total[name]
        self.ledger.remove(names, removed(group))
        return names

    def unreserve(self, group: str, indexes: Sequence[int]) -> None:
        """Free bundles of a group, in which nothing runs."""
        bundles = self.bundles.get(group, {})
        for index in indexes:
            bundle = bundles.pop(index, None)
            if bundle is not None:
                self._give_back(bundle)
        if not bundles:
            self.bundles.pop(group, None)

    def _give_back(self, bundle: Bundle) -> None:
        _put_back(self.gpu_free, bundle.gpus)
        self.ledger.give(bundle.demand)


def removed(group: str) -> exceptions.TaskPlacementGroupRemoved:
    """Why what is to be in a group can't run."""
    return exceptions.TaskPlacementGroupRemoved(f"placement group {group} has been removed")


def _take(pool: dict[int, int], amount: int) -> dict[int, int]:
    """Take GPUs from a pool; none if they don't fit."""
    count, part = divmod(amount, UNIT)
    whole = [index for index, free in pool.items() if free == UNIT]
    if len(whole) < count:
        return {}
    chosen = dict.fromkeys(whole[:count], UNIT)
    if part:
        fitting = [(free, index) for index, free in pool.items() if free >= part and index not in chosen]
        if not fitting:
            return {}
        chosen[min(fitting)[1]] = part  # the fullest that has room, so that whole ones stay whole
    for index, share in chosen.items():
        pool[index] -= share
    return chosen


def _put_back(pool: dict[int, int], gpus: Mapping[int, int]) -> None:
    for index, part in gpus.items():
        pool[index] += part
