"""What is under way in a Dask worker: calls, and the actors that live there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from skate import exceptions
from skate.core.ref import ObjectRef
from skate.engine.dask import remote
from skate.engine.dask.blob import Blob, error_blob

if TYPE_CHECKING:
    from skate.engine.dask.calls import ActorSpec, Call
    from skate.engine.dask.children import Child
    from skate.engine.dask.stock import Share


class Active:
    """A call under way in this Dask worker."""

    __slots__ = (
        "blocked",
        "call",
        "cancelled",
        "child",
        "held",
        "items",
        "lent",
        "pid",
        "removed",
        "started",
        "worker",
    )

    def __init__(self, call: Call) -> None:
        self.call = call
        self.child: Child | None = None
        self.cancelled = False
        self.removed = False
        """Whether the placement group that it runs in was removed."""
        self.lent: dict[str, int] = {}
        self.items: asyncio.Task[Any] | None = None
        self.held: list[Any] = []
        """What is in its result, until that is Dask's."""
        self.blocked = False
        """Whether it waits for other calls."""
        self.started = 0.0
        """When a process began with it; 0 if none has."""
        self.worker = 0
        """That process's number, and below its pid."""
        self.pid = 0


class Hosted:
    """An actor that lives here."""

    def __init__(self, spec: ActorSpec, incarnation: int, child: Child, share: Share) -> None:
        self.spec = spec
        self.incarnation = incarnation
        self.name = actor_name(spec, incarnation)
        """Dask's key for the task that is the actor's place."""
        self.ready = False
        """Whether it has been constructed, and the registry knows."""
        self.child = child
        self.share = share
        self.lent: dict[str, int] = {}
        self.last: dict[str, int] = {}
        """The number of the last call that each caller's order has let through."""
        self.passed = asyncio.Condition()
        self.born = 0.0
        """When it had been constructed; 0 if it has not."""


def dask_name(call: Call) -> str:
    """Dask's key for the task that is a call."""
    name = remote.name_of(call.key)
    return f"{name}-all" if isinstance(call.returns, int) and call.returns > 1 else name


def actor_name(spec: ActorSpec, incarnation: int) -> str:
    """Dask's key for the task that is an actor's place."""
    return f"skate-actor-{spec.key:x}-{incarnation}"


def cancelled(key: int) -> Blob:
    """The result of a call that was cancelled."""
    return error_blob(exceptions.TaskCancelledError(ObjectRef(key).task_id()))
