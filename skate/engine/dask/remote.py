"""The functions that Dask runs, and the names under which it knows our things.

All of them are coroutines on the Dask worker's event loop: user code has a process of its own. What limits how much runs is the
resources that each task holds.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from distributed import get_worker

from skate.engine.dask.blob import MANY, Blob

if TYPE_CHECKING:
    from skate.engine.dask.calls import ActorSpec, Call
    from skate.engine.dask.host import Host

HOST = "skate-host"
REGISTRY = "skate-registry"
_PREFIX = "skate-"


def name_of(key: int) -> str:
    """Dask's key for a ref. As wide as can be, so that names sort as the keys do."""
    return f"{_PREFIX}{key:048x}"


def topic_of(client: str) -> str:
    """The topic of Dask's events under which the hub of that client is told things."""
    return f"{_PREFIX}events-{client}"


def is_ref(name: str) -> bool:
    """Whether a Dask key is one of ours for a ref or a call."""
    return name.startswith(f"{_PREFIX}0")


def key_of(name: str) -> int:
    """The inverse of `name_of`."""
    return int(name[len(_PREFIX) : len(_PREFIX) + 48], 16)


def resource_name(name: str) -> str:
    """Dask's name for a resource: ours are counted in ten-thousandths, so they are not mixed with others of the cluster."""
    return f"{_PREFIX}{name}"


NODE = "skate-id:"
ANY = "skate-any"
"""A resource that every worker has more of than can be asked for. A task that asks for some is sent to a worker at once: Dask would
keep others back while its thread slots are taken, and a call that an actor must answer can't wait for that."""
PLENTY = 10**9
CONNECTIONS = 10_000
"""How many questions one Dask client may have under way: each that waits, such as for an actor's place, holds a connection."""


def node_resource(node_id: str) -> str:
    """Dask's name for the resource that only this node has."""
    return f"{NODE}{node_id}"


def host_of(address: str) -> str:
    """The machine of a Dask address."""
    return "127.0.0.1" if address.startswith("inproc") else address.rpartition("//")[2].rpartition(":")[0]


async def _host() -> Host:
    worker = get_worker()
    while (found := worker.plugins.get(HOST)) is None or not found.ready:
        await asyncio.sleep(0.005)  # the worker has just joined, and our part of it is being set up
    host: Host = found
    return host


async def run_task(call: Call, *deps: Blob) -> Blob:
    """Run a task in a process of this Dask worker."""
    return await (await _host()).tasks.run_task(call, list(deps))


async def call_actor(call: Call, *deps: Blob) -> Blob:
    """Call an actor, wherever it lives."""
    return await (await _host()).actors.call_actor(call, list(deps))


async def host_actor(spec: ActorSpec, incarnation: int, *deps: Blob) -> tuple[str, bool, Blob | None]:
    """Be an actor's place: returns when it has ended, with the cause, whether it may restart, and an error of its constructor."""
    return await (await _host()).actors.host_actor(spec, incarnation, list(deps))


async def keep(blob: Blob) -> Blob:
    """A value that came with the graph."""
    return blob


async def pick(blob: Blob, index: int) -> Blob:
    """One of several results."""
    if blob.kind == MANY:
        part: Blob = blob.data[index]
        return part
    return blob
