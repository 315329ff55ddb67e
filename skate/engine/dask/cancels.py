"""Cancelling what ports of a hub have called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skate import exceptions
from skate.core.ref import ObjectRef

if TYPE_CHECKING:
    from skate.engine.dask.hub import Hub
    from skate.engine.dask.items import Entry, Port


class Cancels:
    """Cancels calls of a hub."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def cancel(self, _port: Port, key: int, force: bool, recursive: bool) -> None:
        """A port wants a call ended."""
        entry = self.hub.holdings.entries.get(key)
        if entry is None or entry.done or entry.call is None:
            return
        self.hub.graph.flush()
        self.hub.start(self._cancel_task(entry, force, recursive))

    async def _cancel_task(self, entry: Entry, force: bool, recursive: bool) -> None:
        call = entry.call
        assert call is not None
        if await self.hub.registry("cancel", call.key, force, recursive):
            return  # it is told where it runs, and answers
        self.cancelled(call.key)

    def cancelled(self, key: int) -> None:
        """A task was cancelled that had not started."""
        self.failed(key, exceptions.TaskCancelledError(ObjectRef(key).task_id()))

    def failed(self, key: int, error: exceptions.RayError) -> None:
        """A task that had not started never will, nor will what waits for it."""
        entry = self.hub.holdings.entries.get(key)
        if entry is None or entry.done:
            return
        doomed = (
            [self.hub.holdings.entries.get(output) for output in entry.call.outputs()]
            if entry.call
            else [entry]
        )
        while doomed:
            found = doomed.pop()
            if found is not None and not found.done:
                doomed += [other for other in self.hub.holdings.entries.values() if found in other.deps]
                self.hub.outcomes.fail(found, error)

    def cancel_children(self, parent: int, force: bool) -> None:
        """Cancel what a task has called."""
        for entry in list(self.hub.holdings.entries.values()):
            if entry.call is not None and entry.call.parent == parent and not entry.done:
                self.hub.start(self._cancel_task(entry, force and not entry.call.actor, True))
