"""Who holds what: exact amounts in ten-thousandths, and GPUs as single devices."""

from __future__ import annotations

import os
from glob import glob
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skate.engine.base import InitConfig

UNIT = 10_000
"""Amounts are kept in ten-thousandths, the finest fraction that the API takes."""


def scaled(amounts: Mapping[str, float]) -> dict[str, int]:
    """Amounts in ten-thousandths, without zeros."""
    whole = {name: round(amount * UNIT) for name, amount in amounts.items()}
    return {name: amount for name, amount in whole.items() if amount}


class Holding:
    """What one running task or actor holds."""

    __slots__ = ("amounts", "gpus")

    def __init__(self, amounts: dict[str, int], gpus: dict[int, int]) -> None:
        self.amounts = amounts
        self.gpus = gpus


class Ledger:
    """The resources of the session."""

    def __init__(self, total: Mapping[str, float]) -> None:
        self.total = scaled(total)
        self.free = dict(self.total)
        self.gpus = dict.fromkeys(range(self.total.get("GPU", 0) // UNIT), UNIT)

    def shortage(self, demand: Mapping[str, int]) -> str:
        """Why `demand` can never be met, in words; empty if it can."""
        lacking = [
            f"{name} {amount / UNIT:g} (the session has {self.total.get(name, 0) / UNIT:g})"
            for name, amount in demand.items()
            if self.total.get(name, 0) < amount
        ]
        return ", ".join(lacking)

    def take(self, demand: Mapping[str, int]) -> Holding | None:
        """Take `demand` if it is free now."""
        free = self.free
        for name, amount in demand.items():
            if free.get(name, 0) < amount:
                return None
        gpus = self._pick(demand.get("GPU", 0))
        if gpus is None:
            return None
        for name, amount in demand.items():
            free[name] -= amount
        for index, amount in gpus.items():
            self.gpus[index] -= amount
        return Holding(dict(demand), gpus)

    def give_back(self, holding: Holding) -> None:
        """Free all that is held."""
        for name, amount in holding.amounts.items():
            self.free[name] += amount
        for index, amount in holding.gpus.items():
            self.gpus[index] += amount

    def keep_only(self, holding: Holding, demand: Mapping[str, int]) -> None:
        """Free what is held beyond `demand`, such as the CPU that an actor needs only to be created."""
        for name in list(holding.amounts):
            kept = min(holding.amounts[name], demand.get(name, 0))
            self.free[name] += holding.amounts[name] - kept
            holding.amounts[name] = kept

    def lend_cpu(self, holding: Holding) -> None:
        """Whoever waits does not use its CPU."""
        if "CPU" in holding.amounts:
            self.free["CPU"] += holding.amounts["CPU"]

    def take_cpu_back(self, holding: Holding) -> None:
        """It goes on, though the CPU may have been given to another meanwhile: what is free can be below zero."""
        if "CPU" in holding.amounts:
            self.free["CPU"] -= holding.amounts["CPU"]

    def available(self) -> dict[str, float]:
        """What nobody holds."""
        return {name: amount / UNIT for name, amount in self.free.items() if amount > 0}

    def _pick(self, amount: int) -> dict[int, int] | None:
        if amount == 0:
            return {}
        if amount < UNIT:
            # The fullest device that has room, so that whole ones stay whole.
            fitting = [(free, index) for index, free in self.gpus.items() if free >= amount]
            return {min(fitting)[1]: amount} if fitting else None
        whole = [index for index, free in self.gpus.items() if free == UNIT]
        count = amount // UNIT
        return dict.fromkeys(whole[:count], UNIT) if len(whole) >= count else None


def total_resources(config: InitConfig) -> dict[str, float]:
    """What a session has: as asked for, or as this machine has."""
    cpus = config.num_cpus if config.num_cpus is not None else len(os.sched_getaffinity(0))
    gpus = config.num_gpus if config.num_gpus is not None else _count_gpus()
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    store = config.object_store_memory if config.object_store_memory is not None else int(machine * 0.3)
    total = {
        "CPU": float(cpus),
        "GPU": float(gpus),
        "memory": float(config.memory if config.memory is not None else int(machine * 0.7)),
        "object_store_memory": float(store),
        "node:127.0.0.1": 1.0,
        "node:__internal_head__": 1.0,
        **{name: float(amount) for name, amount in config.resources.items()},
    }
    return {name: amount for name, amount in total.items() if amount}


def _count_gpus() -> int:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip() and device.strip() != "-1"])
    return len(glob("/dev/nvidia[0-9]*"))
