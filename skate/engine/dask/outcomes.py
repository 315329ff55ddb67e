"""How refs get their values or errors, and who is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core.ref import ObjectRef
from skate.engine.dask import remote
from skate.engine.dask.blob import Blob, error_blob, infrastructure
from skate.engine.dask.calls import LARGE

if TYPE_CHECKING:
    from distributed import Future

    from skate.engine.dask.hub import Hub
    from skate.engine.dask.items import Entry, Port


class Outcomes:
    """Watches the futures of a hub, and fetches values for those who want them."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    async def watch(self, entry: Entry, future: Any) -> None:
        """Return when a ref's future has ended, and the ref with it."""
        state = future._state
        await state.wait()
        if entry.future is not future or entry.done:
            return
        if state.status != "finished":
            entry.blob = error_blob(self._why(entry, future))
        self.ended(entry)

    def _why(self, entry: Entry, future: Future[Any]) -> BaseException:
        """What became of a future that has no value, as an error of ours."""
        error = future._state.exception
        call = entry.call
        reason = getattr(error, "reason", "")
        if self.hub.ended:
            return exceptions.RaySystemError(f"the session has ended: {self.hub.ended}")
        if "scheduler" in str(reason) and "lost" in str(reason):
            return exceptions.RaySystemError(
                f"the Dask scheduler at {self.hub.client.scheduler.address} went away."
            )
        if type(error).__name__ == "KilledWorker":
            if call is not None and call.actor:
                context = exceptions.ActorDiedErrorContext(
                    error_message="The actor is dead because the Dask worker it lived on died during this call.",
                    actor_id=call.actor.to_bytes(16, "big").hex(),
                    class_name=call.name.partition(".")[0],
                )
                return exceptions.ActorDiedError(context)
            what = "the task" if call is None else f"task {call.name}"
            return exceptions.WorkerCrashedError(f"{what} was lost with the Dask worker that ran it: {error}")
        if future.status in ("cancelled", "lost"):
            return exceptions.ObjectLostError(ObjectRef(entry.key).hex())
        return infrastructure(error)

    def fail(self, entry: Entry, error: BaseException) -> None:
        """A ref has an error of the engine's own."""
        entry.blob = error_blob(error)
        self.ended(entry)

    def ended(self, entry: Entry) -> None:
        """A ref has a value or an error."""
        if entry.done:
            return
        entry.done = True
        held, entry.held, entry.deps = entry.held, [], []
        self.hub.holdings.release(held)
        entry.needed -= 1
        for port in {*entry.ports, entry.submitter} - {None}:
            self.tell(port, entry)
        self.hub.holdings.let_go(entry)

    def tell(self, port: Any, entry: Entry) -> None:
        """Tell a port of a ref that has ended: the value, if it is small or wanted, and else that it is there."""
        blob = entry.blob or self.local(entry)
        if blob is not None and (port in entry.wanted or blob.size() <= LARGE):
            entry.wanted.discard(port)
            port.deliver(("value", entry.key, blob))
            return
        port.deliver(("ready", entry.key))
        if port in entry.wanted:
            self.hub.start(self._fetch(entry))

    def local(self, entry: Entry) -> Blob | None:
        """The value, if it lies in this process."""
        if self.hub.worker is None:
            return None
        found: Blob | None = self.hub.worker.data.get(remote.name_of(entry.key))
        return found

    def want(self, port: Port, keys: list[int]) -> None:
        """A port waits for values."""
        self.hub.graph.flush()
        for key in keys:
            entry = self.hub.holdings.entries.get(key)
            if entry is None:
                port.deliver(("value", key, error_blob(exceptions.ObjectLostError(ObjectRef(key).hex()))))
                continue
            entry.wanted.add(port)
            if entry.done:
                self.tell(port, entry)

    async def _fetch(self, entry: Entry) -> None:
        """Bring a value here, and give it to those who want it."""
        entry.needed += 1
        try:
            blob = entry.blob or self.local(entry)
            if blob is None:
                (blob,) = await self.hub.client._gather([entry.future], direct=True)
        except Exception as error:
            future: Any = entry.future
            failed = future is not None and future.status in ("error", "cancelled", "lost")
            blob = entry.blob = error_blob(self._why(entry, future) if failed else infrastructure(error))
        finally:
            entry.needed -= 1
        wanted, entry.wanted = entry.wanted, set()
        for port in wanted:
            port.deliver(("value", entry.key, blob))
        self.hub.holdings.let_go(entry)
