"""Generators that ports of a hub have called: their items are announced by the Dask workers that make them."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from distributed import Future

from skate.engine.dask import remote

if TYPE_CHECKING:
    from skate.engine.dask.hub import Hub
    from skate.engine.dask.items import Port


class Generators:
    """The generators of a hub."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.open: dict[int, tuple[Port, str]] = {}
        """By whom each was called, and the Dask worker where the items come from."""

    def forget_port(self, port: Port) -> None:
        """An engine has ended: nobody takes its items."""
        for key in [key for key, (owner, _address) in self.open.items() if owner is port]:
            self.drop(port, key)

    def on_item(self, hexed: str, index: int, address: str) -> None:
        """A Dask worker has announced an item of a generator that was called through this hub."""
        key = int(hexed, 16)
        found = self.open.get(key)
        if found is None:
            # Nobody wants it: the announcement came with an interest in our name, which goes as the future does.
            Future(remote.name_of(key + index + 1), self.hub.client).release()
            return
        port = found[0]
        self.open[key] = (port, address)
        entry = self.hub.holdings.entry(key + index + 1)
        if entry.future is None:
            entry.needed += 1
            entry.future = Future(remote.name_of(entry.key), self.hub.client, state="memory")
            self.hub.start(self.hub.outcomes.watch(entry, entry.future))
        entry.ports[port] += 1
        port.deliver(("item", key, index))

    def taken(self, _port: Port, key: int, count: int) -> None:
        """A port has taken so many items: the generator may go on."""
        self._to_producer(key, "taken", count)

    def drop(self, _port: Port, key: int) -> None:
        """A port takes no more items."""
        self._to_producer(key, "drop_stream")
        self.open.pop(key, None)

    def _to_producer(self, key: int, op: str, *args: Any) -> None:
        found = self.open.get(key)
        if found is not None and found[1]:
            self.hub.start(self._to_worker(found[1], op, key, *args))

    async def _to_worker(self, address: str, op: str, *args: Any) -> None:
        try:
            await self.hub.client.rpc(address).skate(payload=pickle.dumps((op, args)))
        except OSError:
            return  # that worker is gone, and the generator with it
