"""Calls as they travel: what to run, with what, and what to do when it fails."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from skate.core import arguments
from skate.core.ref import BYTES, INDEX_BITS, ObjectRef
from skate.engine.dask.blob import Blob, as_blob

LARGE = 32 * 1024
"""Arguments and functions of more bytes than this are stored once, and not sent through the scheduler."""

UNIT = 10_000
"""Dask counts our resources in ten-thousandths: whole numbers, so that fractions add up exactly."""

MARK = UNIT // 1000
"""What everything that runs in a placement group holds of the resource `bundle` of its bundle: so that it is placed there."""
MARKS = UNIT * 1000
"""How much of it a bundle has."""

NO_FORCE = "force=True is not supported for actor tasks: use skate.kill(actor) to end the actor itself."


class Placed(NamedTuple):
    """That a task or an actor runs in a placement group."""

    group: str
    """The group's id in hex."""
    bundle: int
    """Which bundle; -1 for any."""
    captures: bool
    """Whether what it calls runs there too."""


@dataclass(slots=True)
class Job:
    """Whom a call belongs to: one driver's program."""

    client: str
    """The id of the driver's Dask client; results of generators are announced to the client that called."""
    job_id: str
    namespace: str
    env: dict[str, Any] = field(default_factory=dict)
    session: str = ""


@dataclass(slots=True)
class Call:
    """A task, or a call of an actor's method."""

    key: int
    name: str
    """The function's qualified name, or "Class.method"."""
    shown: str
    args: Blob
    returns: Any
    job: Job
    module: str = ""
    """What defines the function; for a method that is for its actor to tell."""
    function: Blob | None = None
    function_key: int = 0
    """Names the function within the program, so that it is unpickled once in a process."""
    demand: dict[str, int] = field(default_factory=dict)
    env: str = ""
    retries: int = 0
    retry_exceptions: Any = None
    """False, True, or a pickled tuple of exception classes."""
    max_calls: int = 0
    backpressure: int | None = None
    parent: int = 0
    nodes: tuple[str, ...] = ()
    """Ids of the nodes that it must run on; empty for any."""
    placed: Placed | None = None
    created: float = 0.0
    """When it was called: seconds since the epoch."""
    attempt: int = 0
    """How often it was tried before."""
    slots: int = 0
    """How many blobs come beside it: the values of the refs at top level; then the function's and the arguments', if stored."""
    stored_function: bool = False
    stored_args: bool = False
    caller: str = ""
    """The id of the Dask client through which the call was made."""
    actor: int = 0
    method: str = ""
    group: str | None = None
    sequence: tuple[str, int, int] | None = None
    """For an actor that keeps the order: whose call it is, its number, and the key of the call before it."""

    def outputs(self) -> list[int]:
        """The keys of the refs that this call fills."""
        if isinstance(self.returns, int):
            return [self.key + index for index in range(self.returns)]
        return [self.key]


@dataclass(slots=True)
class ActorSpec:
    """What it takes to create an actor, again and again."""

    key: int
    class_name: str
    cls: Blob
    args: Blob
    meta: bytes
    job: Job
    name: str
    namespace: str
    detached: bool
    max_restarts: int
    creation: dict[str, int]
    running: dict[str, int]
    env: str
    concurrency: int
    groups: dict[str, int]
    is_asyncio: bool
    ordered: bool
    nodes: tuple[str, ...] = ()
    placed: Placed | None = None
    created: float = 0.0
    deps: tuple[int, ...] = ()
    nested: tuple[tuple[str, int], ...] = ()
    slots: int = 0
    stored_args: bool = False


def node_id_of(address: str) -> str:
    """The id of the node that the Dask worker at `address` is."""
    return hashlib.sha224(address.encode()).hexdigest()


def job_id_of(number: int) -> str:
    """The id of the driver with that number."""
    return f"{number:02x}000000"


def base_key(key: int) -> int:
    """The key of the call that makes the ref with this key."""
    return key >> INDEX_BITS << INDEX_BITS


def scaled(amounts: Mapping[str, float]) -> dict[str, int]:
    """Resources as Dask counts them."""
    return {name: round(amount * UNIT) for name, amount in amounts.items() if amount}


def unscaled(amounts: Mapping[str, float]) -> dict[str, float]:
    """The inverse of `scaled`; zeros are left out."""
    return {name: amount / UNIT for name, amount in amounts.items() if amount}


def group_names(name: str, group: str, bundle: int) -> list[str]:
    """How a resource of a placement group's bundle is named: in the group, and in the bundle (unless that is -1, for any)."""
    whole = f"{name}_group_{group}"
    return [whole] if bundle < 0 else [whole, f"{name}_group_{bundle}_{group}"]


def inside(demand: Mapping[str, int], placed: Placed | None) -> dict[str, int]:
    """A demand as it is named where the work runs."""
    if placed is None:
        return dict(demand)
    marked = {**demand, "bundle": MARK}
    return {
        shown: amount
        for name, amount in marked.items()
        for shown in group_names(name, placed.group, placed.bundle)
    }


def outside(demand: Mapping[str, int], placed: Placed | None) -> dict[str, int]:
    """The inverse of `inside`."""
    if placed is None:
        return dict(demand)
    end = f"_group_{placed.group}"
    found = {name.removesuffix(end): amount for name, amount in demand.items() if name.endswith(end)}
    found.pop("bundle", None)
    return found


def cpus_of(demand: Mapping[str, int]) -> dict[str, int]:
    """The CPUs in a demand, by the names that they have in it."""
    return {name: amount for name, amount in demand.items() if name == "CPU" or name.startswith("CPU_group_")}


def whole_cpu(demand: Mapping[str, int]) -> bool:
    """Whether a demand is for a CPU or more."""
    return max(cpus_of(demand).values(), default=0) >= UNIT


def pack_args(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], what: str
) -> tuple[Blob, list[ObjectRef[Any]], list[Any]]:
    """Pickled arguments, the refs at top level, whose values are sent beside them, and the refs and actors inside.

    Raises:
        TypeError: an argument can't be pickled; the message names it.
    """
    packed, slots = arguments.pack_args(args, kwargs, what)
    return as_blob(BYTES, packed), slots, packed.nested


def pack_code(thing: Any, what: str, name: str) -> tuple[Blob, list[Any]]:
    """A pickled function or class, and the refs and actors inside.

    Raises:
        TypeError: it can't be pickled.
    """
    packed = arguments.pack_code(thing, what, name)
    return as_blob(BYTES, packed), packed.nested
