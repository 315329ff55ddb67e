"""Tasks in a Dask worker: each is run by a process, and run again where it may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skate import exceptions
from skate.engine.dask.active import Active, cancelled, dask_name
from skate.engine.dask.blob import Blob, error_blob
from skate.engine.dask.calls import whole_cpu
from skate.engine.dask.stock import removed

if TYPE_CHECKING:
    from skate.engine.dask.calls import Call
    from skate.engine.dask.children import Child
    from skate.engine.dask.host import Host
    from skate.engine.dask.stock import Share


class Tasks:
    """The tasks of a host."""

    def __init__(self, host: Host) -> None:
        self.host = host

    async def run_task(self, call: Call, deps: list[Blob]) -> Blob:
        """Run a task to its end, again where it may be."""
        host = self.host
        name = dask_name(call)
        if not whole_cpu(call.demand):
            host.secede(name)
        try:
            share = await host.stock.take(call.demand, call.placed)
        except exceptions.TaskPlacementGroupRemoved as error:
            return error_blob(error)
        if not host.wanted(name):
            host.stock.give(share)
            return cancelled(call.key)
        active = host.begin(call)
        blob: Blob | None = None
        try:
            blob = await self._attempt(active, deps, share)
            return await host.results.finish(active, blob)
        finally:
            host.take_back(active)
            host.stock.give(share)
            host.end(active, blob)

    async def _attempt(self, active: Active, deps: list[Blob], share: Share) -> Blob:
        host, call = self.host, active.call
        retries = call.retries
        while True:
            if active.cancelled or call.key in host.cancelled:
                host.cancelled.pop(call.key, None)
                return cancelled(call.key)
            try:
                child = host.children.take(call.env, await host.environments.prepare(call.env))
            except exceptions.RuntimeEnvSetupError as error:
                return error_blob(error)
            active.child = child
            blob: Blob | None = None
            outcome = await child.run(call, deps, call.demand, list(share.gpus))
            active.child = None
            host.take_back(active)
            if outcome is None:
                failure = _lost(active, child, retries)
                if failure is not None:
                    return failure
            else:
                count = child.made[call.function_key] = child.made.get(call.function_key, 0) + 1
                if call.max_calls and count >= call.max_calls:
                    child.deliver(("exit",))
                else:
                    host.children.give_back(child)
                blob, retry = outcome
                if not (retry and retries) or active.cancelled:
                    return blob
            retries -= 1
            host.again(active, blob, f"{child.end} unexpectedly")


def _lost(active: Active, child: Child, retries: int) -> Blob | None:
    """What has become of a task whose process has ended; None if it is to be run again."""
    call = active.call
    if child.broken:
        return error_blob(exceptions.RuntimeEnvSetupError(child.broken))
    if active.cancelled:
        return cancelled(call.key)
    if active.removed and call.placed is not None and retries:
        return error_blob(removed(call.placed.group))
    if retries:
        return None
    if active.removed:
        text = f"task {call.name} did not end: its placement group was removed."
    else:
        text = (
            f"task {call.name} was lost: {child.end} unexpectedly. It may have been killed, or have crashed in native code. It was "
            "not run again, as max_retries was used up."
        )
    return error_blob(exceptions.WorkerCrashedError(text))
