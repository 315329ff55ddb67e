"""A generator that runs here for a caller, as its items go out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skate.engine.local.client.loop import Latch

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.engine.local import wire
    from skate.engine.local.worker.main import Worker


class OutStream:
    """A generator that this worker runs for a caller."""

    def __init__(self, conn: wire.Conn, limit: int | None) -> None:
        self.conn = conn
        self.limit = limit
        self.taken = 0
        self.dropped = False
        self.latch: Latch | None = None
        self.on_change: Callable[[], Any] | None = None

    def has_room(self, produced: int) -> bool:
        """Whether another item may be made."""
        return self.limit is None or produced - self.taken < self.limit

    def wait_for_room(self, worker: Worker, produced: int) -> bool:
        """Wait until another item may be made; False if nobody wants more."""
        while not self.dropped and not self.has_room(produced):
            latch = self.latch = Latch(1)
            if self.dropped or self.has_room(produced):
                break
            worker.engine.waits.until(latch, None)
        return not self.dropped

    def changed(self) -> None:
        """Items were taken, or nobody wants more."""
        if self.latch is not None:
            self.latch(None)
        if self.on_change is not None:
            self.on_change()
