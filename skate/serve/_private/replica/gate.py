"""How many requests a replica runs at once."""

from __future__ import annotations

import asyncio
from collections import deque


class Gate:
    """Counts requests that run. One that comes when `limit` run is turned away, or waits in line.

    It belongs to one asyncio loop, and is no lock: nothing here waits but `enter`.
    """

    __slots__ = ("_idle", "leaving", "limit", "ongoing", "waiting")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.ongoing = 0
        self.leaving = False
        """Whether the replica is about to end: nobody is let in."""
        self.waiting: deque[asyncio.Future[None]] = deque()
        self._idle: asyncio.Event | None = None

    def try_enter(self) -> bool:
        """Count a request in if there is room."""
        if self.ongoing >= self.limit or self.leaving:
            return False
        self.ongoing += 1
        return True

    async def enter(self) -> None:
        """Wait in line until there is room, and be counted in."""
        if not self.waiting and self.try_enter():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.leave()  # the place was given to a request that is cancelled: the next one takes it
            elif future in self.waiting:
                self.waiting.remove(future)
            raise

    def leave(self) -> None:
        """A request has ended: its place goes to the one that has waited longest."""
        while self.waiting and self.ongoing <= self.limit:
            future = self.waiting.popleft()
            if not future.done():
                future.set_result(None)
                return
        self.ongoing -= 1
        if self.ongoing == 0 and self._idle is not None:
            self._idle.set()

    def set_limit(self, limit: int) -> None:
        """Change the limit; those who wait are let in if there is room now."""
        self.limit = limit
        while self.waiting and self.ongoing < limit:
            future = self.waiting.popleft()
            if not future.done():
                self.ongoing += 1
                future.set_result(None)

    async def idle(self) -> None:
        """Wait until no request runs."""
        while self.ongoing:
            self._idle = asyncio.Event()
            await self._idle.wait()
