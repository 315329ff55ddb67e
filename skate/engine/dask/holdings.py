"""Which refs and actors a hub keeps, and for whom: ports that have them, and what is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from distributed import Future

from skate import exceptions
from skate.core.ref import ObjectRef
from skate.engine.dask import remote
from skate.engine.dask.blob import Name, error_blob, infrastructure
from skate.engine.dask.items import Entry, Interest, Port

if TYPE_CHECKING:
    from skate.engine.dask.hub import Hub


class Holdings:
    """The refs and actors of a hub."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.entries: dict[int, Entry] = {}
        self.actors: dict[int, Interest] = {}
        self.pinned: list[Entry | Interest] = []
        self._adopting = 0
        """How many refs and actors the scheduler has not heard of yet: until it has, nothing is let go."""
        self._dropped: list[Entry | Interest] = []
        self._settled = asyncio.Event()
        self._settled.set()

    def entry(self, key: int) -> Entry:
        """A ref's entry, made if need be."""
        entry = self.entries.get(key)
        if entry is None:
            entry = self.entries[key] = Entry(key)
        return entry

    def item(self, name: Name) -> Entry | Interest:
        """What a name stands for."""
        kind, key = name
        return self.entry(key) if kind == "ref" else self.interest(key)

    def need(self, items: Sequence[Entry | Interest]) -> None:
        """Something under way needs these."""
        for item in items:
            item.needed += 1

    def release(self, items: Sequence[Entry | Interest]) -> None:
        """The inverse of `need`."""
        for item in items:
            item.needed -= 1
            self.let_go(item)

    def drop(self, port: Port, kind: str, key: int) -> None:
        """A port has dropped a ref or a handle."""
        item: Entry | Interest | None = self.entries.get(key) if kind == "ref" else self.actors.get(key)
        if item is not None and port in item.ports:
            item.ports[port] -= 1
            if not item.ports[port]:
                del item.ports[port]
            self.let_go(item)

    def let_go(self, item: Entry | Interest) -> None:
        """Forget an item if nobody needs it any more."""
        if not item.unused():
            return
        if self._adopting:
            self._dropped.append(item)  # it may hold what is being adopted
        elif isinstance(item, Interest):
            if self.actors.pop(item.key, None) is not None and not self.hub.ended:
                self.hub.start(self._release_actor(item))
        elif self.entries.get(item.key) is item:
            del self.entries[item.key]
            future, item.future = item.future, None
            if future is not None:
                future.release()

    async def _release_actor(self, item: Interest) -> None:
        if item.key not in self.actors:
            try:
                await self.hub.registry("release_actor", item.key)
            except exceptions.RaySystemError as error:
                self.hub.end(str(error))

    def adopting(self) -> None:
        """The scheduler is about to be told of a ref or an actor."""
        self._adopting += 1
        self._settled.clear()

    def adopted(self) -> None:
        """It has been told."""
        self._adopting -= 1
        if not self._adopting:
            dropped, self._dropped = self._dropped, []
            self._settled.set()
            for item in dropped:
                self.let_go(item)

    def hold(self, names: Sequence[Name]) -> list[Entry | Interest]:
        """Keep refs and actors that are in a result, until it is Dask's; `release` is the inverse."""
        held = [self.item(name) for name in names]
        self.need(held)
        return held

    async def settled(self) -> None:
        """Return when the scheduler knows of every ref that came in so far."""
        while self._adopting:
            await self._settled.wait()

    def adopt(self, port: Port, kind: str, key: int) -> None:
        """A ref or a handle has come in from elsewhere."""
        if kind == "actor":
            item = self.interest(key)
            item.ports[port] += 1
            return
        entry = self.entries.get(key)
        if entry is None:
            entry = self.entry(key)
            self.adopting()
            entry.needed += 1
            self.hub.start(self._desire(entry))
        entry.ports[port] += 1
        if entry.done:
            self.hub.outcomes.tell(port, entry)

    async def _desire(self, entry: Entry) -> None:
        name = remote.name_of(entry.key)
        entry.future = Future(name, self.hub.client)  # there before the scheduler tells of its state
        try:
            if await self.hub.registry("desire", [name]):
                entry.blob = error_blob(exceptions.ObjectLostError(ObjectRef(entry.key).hex()))
        except Exception as error:
            entry.blob = error_blob(infrastructure(error))
        finally:
            self.adopted()
        if entry.blob is not None:
            self.hub.outcomes.ended(entry)
        else:
            await self.hub.outcomes.watch(entry, entry.future)

    def interest(self, key: int) -> Interest:
        """An actor's interest, made if need be."""
        item = self.actors.get(key)
        if item is None:
            item = self.actors[key] = Interest(key)
            self.adopting()
            self.hub.start(self._hold_actor(item))
        return item

    async def _hold_actor(self, item: Interest) -> None:
        try:
            await self.hub.registry("hold_actor", item.key)
        except exceptions.RaySystemError as error:
            self.hub.end(str(error))
        finally:
            self.adopted()

    def adopt_new(self, port: Port, key: int) -> None:
        """A port is about to create an actor."""
        item = self.actors[key] = Interest(key)
        item.ports[port] += 1

    def pin(self, _port: Port, names: tuple[Name, ...]) -> None:
        """Keep these for as long as the session lasts."""
        self.pinned += self.hold(names)

    def forget_port(self, port: Port) -> None:
        """An engine has ended: what it had, it has no more."""
        items: list[Entry | Interest] = [*self.entries.values(), *self.actors.values()]
        for item in items:
            if item.ports.pop(port, 0):
                self.let_go(item)
