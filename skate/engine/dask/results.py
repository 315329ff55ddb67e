"""Results on their way from a process to Dask: what is inside them is told of first, and items of generators as they come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from skate.engine.dask import remote
from skate.engine.dask.blob import MANY, Blob

if TYPE_CHECKING:
    from skate.engine.dask.active import Active
    from skate.engine.dask.host import Host


class Results:
    """The results of a host's calls."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def finish(self, active: Active, blob: Blob) -> Blob:
        """Before a result is Dask's: what came in has been told of, and what is inside is held."""
        hub = self.host.hub
        if active.items is not None:
            await active.items
        await hub.holdings.settled()
        key = active.call.key
        if blob.kind == MANY:
            holdings = [(remote.name_of(key + i), part.nested) for i, part in enumerate(blob.data)]
        else:
            holdings = [(remote.name_of(output), blob.nested) for output in active.call.outputs()]
        holdings = [(name, nested) for name, nested in holdings if nested]
        if holdings:
            await hub.registry("contain", holdings)
        return blob

    def hold(self, key: int, blob: Blob) -> None:
        """A result has come, and the process that made it lets go of what is inside."""
        active = self.host.active.get(key)
        if active is not None:
            active.held += self.host.hub.holdings.hold(blob.inside())

    def item(self, key: int, index: int, blob: Blob) -> None:
        """A generator has made an item."""
        active = self.host.active.get(key)
        if active is not None:
            self.hold(key, blob)
            active.items = asyncio.ensure_future(self._announce(active, active.items, index, blob))

    async def _announce(
        self, active: Active, before: asyncio.Task[None] | None, index: int, blob: Blob
    ) -> None:
        if before is not None:
            await before
        host = self.host
        await host.hub.holdings.settled()
        key = active.call.key
        name = remote.name_of(key + index + 1)
        host.worker.update_data(data={name: blob})
        about = (f"{key:x}", index, host.address)
        await host.hub.registry(
            "item", name, host.address, blob.size(), blob.nested, active.call.caller, about
        )
