"""What a hub takes care of: refs and actors, each with those who need it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from distributed import Future

    from skate.engine.dask.blob import Blob
    from skate.engine.dask.calls import Call


class Port(Protocol):
    """An engine, as its hub sees it."""

    def deliver(self, message: tuple[Any, ...]) -> None:
        """Send the engine a message."""


class Entry:
    """A ref of which this hub is asked to take care."""

    __slots__ = (
        "blob",
        "call",
        "deps",
        "done",
        "future",
        "held",
        "key",
        "needed",
        "ports",
        "submitter",
        "wanted",
    )

    def __init__(self, key: int) -> None:
        self.key = key
        self.future: Future[Any] | None = None
        self.ports: Counter[Port] = Counter()
        self.wanted: set[Port] = set()
        self.submitter: Port | None = None
        self.call: Call | None = None
        self.needed = 0
        """How many things under way need it."""
        self.held: list[Entry | Interest] = []
        """What this one needs while it is under way."""
        self.deps: list[Entry] = []
        """What it waits for before it starts."""
        self.done = False
        self.blob: Blob | None = None
        """The value, where it is known here and not (only) in Dask: an error of the engine's own."""

    def unused(self) -> bool:
        """Whether nobody needs it."""
        return not self.ports and not self.needed


class Interest:
    """This hub's interest in an actor: handles of its ports, and calls under way."""

    __slots__ = ("created", "key", "needed", "ports")

    def __init__(self, key: int) -> None:
        self.key = key
        self.ports: Counter[Port] = Counter()
        self.needed = 0
        self.created = False

    def unused(self) -> bool:
        """Whether nobody needs it."""
        return not self.ports and not self.needed
