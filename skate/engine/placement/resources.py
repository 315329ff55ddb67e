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
    """The resources of one machine, or of one bundle of a placement group.

    Args:
        total: What there is, unscaled.
        gpus: By device, how much of it belongs here; None for as many whole devices as `total` says.
    """

    def __init__(self, total: Mapping[str, float], gpus: Mapping[int, int] | None = None) -> None:
        self.total = scale(total)
        self.free = dict(self.total)
        whole = dict.fromkeys(range(self.total.get("GPU", 0) // UNIT), UNIT)
        self.gpu_free = whole if gpus is None else dict(gpus)
        self.gpu_total = dict(self.gpu_free)

    def feasible(self, demand: Mapping[str, int]) -> bool:
        """Whether `demand` fits when nothing else runs."""
        total = self.total
        return all(total.get(name, 0) >= amount for name, amount in demand.items())

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
        count, part = divmod(amount, UNIT)
        whole = [index for index, free in self.gpu_free.items() if free == UNIT]
        if len(whole) < count:
            return None
        picked = dict.fromkeys(whole[:count], UNIT)
        if part:
            # The fullest device that still has room, so that whole ones stay whole.
            fitting = [(f, i) for i, f in self.gpu_free.items() if f >= part and i not in picked]
            if not fitting:
                return None
            picked[min(fitting)[1]] = part
        return picked

    def copy(self, emptied: bool = False) -> Resources:
        """The same amounts to try something on; with `emptied` as if nobody held any."""
        other = object.__new__(Resources)
        other.total = self.total
        other.gpu_total = self.gpu_total
        other.free = dict(self.total if emptied else self.free)
        other.gpu_free = dict(self.gpu_total if emptied else self.gpu_free)
        return other

    def utilization(self, demand: Mapping[str, int]) -> float:
        """How much of the scarcest resource of `demand` is held, from 0 to 1 (or more, where CPUs were lent)."""
        most = 0.0
        for name in demand:
            total = self.total.get(name, 0)
            if total:
                most = max(most, 1 - self.free.get(name, 0) / total)
        return most
