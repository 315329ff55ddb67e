"""Placement groups in a Dask worker: the registry has their bundles set aside here, opened to what runs in them, and freed."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from skate.engine.dask import remote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skate.engine.dask.calls import Placed
    from skate.engine.dask.host import Host


class Bundles:
    """The bundles of a host."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def on_stock(self) -> tuple[dict[str, int], dict[str, int], dict[int, int]]:
        """What there is here, what nobody holds, and how much of each GPU nobody holds; bundles are not in it."""
        stock = self.host.stock
        own = {name: amount for name, amount in stock.total.items() if "_group_" not in name}
        free = {name: stock.ledger.free.get(name, 0) for name in own}
        return own, free, dict(stock.gpu_free)

    def on_reserve(self, group: str, demands: Mapping[int, Mapping[str, int]]) -> bool:
        """Set bundles aside; False if not enough is free."""
        return self.host.stock.reserve(group, demands)

    async def on_open(self, group: str) -> None:
        """The group is complete: what is to run in it may come."""
        await self._declare(self.host.stock.open(group))

    async def on_close(self, group: str) -> None:
        """The group is not wanted any more: end what runs in it."""
        host = self.host
        names = host.stock.close(group)
        ending = []
        for active in list(host.active.values()):
            if _in(active.call.placed, group) and active.child is not None:
                active.removed = True
                ending.append(active.child)
        ending += [h.child for h in host.actors.hosted.values() if _in(h.spec.placed, group)]
        for child in ending:
            child.kill()
        await asyncio.gather(*(child.dead.wait() for child in ending))
        await self._declare(dict.fromkeys(names, 0))
        host.stock.unreserve(group, list(host.stock.bundles.get(group, ())))

    def on_unreserve(self, group: str, indexes: list[int]) -> None:
        """The group can't be had for now: free what was set aside."""
        self.host.stock.unreserve(group, indexes)

    def on_forget(self, group: str) -> None:
        """Dask has no task any more that names a removed group's resources."""
        state = self.host.worker.state
        for name in [name for name in state.total_resources if name.endswith(f"_{group}")]:
            del state.total_resources[name], state.available_resources[name]

    async def _declare(self, amounts: Mapping[str, int]) -> None:
        """Tell Dask how much there is of what the bundles show as."""
        named = {remote.resource_name(name): amount for name, amount in amounts.items()}
        await self.host.worker.set_resources(**named)
        self.host.worker.state.available_resources.update(dict.fromkeys(named, math.inf))


def _in(placed: Placed | None, group: str) -> bool:
    return placed is not None and placed.group == group
