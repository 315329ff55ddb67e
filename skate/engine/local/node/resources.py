"""Counting resources exactly: fractions are whole numbers of ten-thousandths, GPUs are single devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

UNIT = 10_000
"""Amounts are kept in ten-thousandths, the finest fraction that the API takes."""


def scale(amounts: Mapping[str, float]) -> dict[str, int]:
    """Amounts in ten-thousandths; zeros are dropped."""
    scaled = {name: round(amount * UNIT) for name, amount in amounts.items()}
    return {name: amount for name, amount in scaled.items() if amount}


def unscale(amounts: Mapping[str, int]) -> dict[str, float]:
    """The inverse of `scale`."""
    return {name: amount / UNIT for name, amount in amounts.items()}


class Holding:
    """What one lease or actor holds: amounts, and which GPUs."""

    __slots__ = ("amounts", "gpus")

    def __init__(self, amounts: dict[str, int], gpus: dict[int, int]) -> None:
        self.amounts = amounts
        self.gpus = gpus


class Resources:
    """The resources of one node."""

    def __init__(self, total: Mapping[str, float]) -> None:
        self.total = scale(total)
        self.free = dict(self.total)
        gpus = self.total.get("GPU", 0) // UNIT
        self.gpu_free = dict.fromkeys(range(gpus), UNIT)

    def feasible(self, demand: Mapping[str, int]) -> bool:
        """Whether `demand` fits when nothing else runs."""
        return all(self.total.get(name, 0) >= amount for name, amount in demand.items())

    def fits(self, demand: Mapping[str, int]) -> bool:
        """Whether `demand` fits now."""
        free = self.free
        for name, amount in demand.items():
            if free.get(name, 0) < amount:
                return False
        gpu = demand.get("GPU")
        return gpu is None or self._pick_gpus(gpu) is not None

    def acquire(self, demand: Mapping[str, int]) -> Holding:
        """Take `demand`, which fits."""
        gpus = self._pick_gpus(demand.get("GPU", 0)) or {}
        for name, amount in demand.items():
            self.free[name] = self.free.get(name, 0) - amount
        for index, amount in gpus.items():
            self.gpu_free[index] -= amount
        return Holding(dict(demand), gpus)

    def release(self, holding: Holding) -> None:
        """Give back all that is held."""
        for name, amount in holding.amounts.items():
            self.free[name] += amount
        for index, amount in holding.gpus.items():
            self.gpu_free[index] += amount

    def resize(self, holding: Holding, amounts: dict[str, int]) -> None:
        """Hold `amounts` instead; what stays held stays the same, down to the single GPU."""
        for name in {*holding.amounts, *amounts}:
            change = amounts.get(name, 0) - holding.amounts.get(name, 0)
            self.free[name] = self.free.get(name, 0) - change
        if amounts.get("GPU", 0) != holding.amounts.get("GPU", 0):
            for index, amount in holding.gpus.items():
                self.gpu_free[index] += amount
            holding.gpus = self._pick_gpus(amounts.get("GPU", 0)) or {}
            for index, amount in holding.gpus.items():
                self.gpu_free[index] -= amount
        holding.amounts = dict(amounts)

    def lend_cpu(self, holding: Holding) -> None:
        """A blocked worker's CPU is free meanwhile."""
        self.free["CPU"] = self.free.get("CPU", 0) + holding.amounts.get("CPU", 0)

    def take_cpu_back(self, holding: Holding) -> None:
        """It goes on: the CPU may be overcommitted until another lease ends."""
        self.free["CPU"] = self.free.get("CPU", 0) - holding.amounts.get("CPU", 0)

    def _pick_gpus(self, amount: int) -> dict[int, int] | None:
        if amount == 0:
            return {}
        if amount < UNIT:
            # The fullest device that still has room, so that whole ones stay whole.
            fitting = [(free, index) for index, free in self.gpu_free.items() if free >= amount]
            return {min(fitting)[1]: amount} if fitting else None
        whole = [index for index, free in self.gpu_free.items() if free == UNIT]
        count = amount // UNIT
        return dict.fromkeys(whole[:count], UNIT) if len(whole) >= count else None
