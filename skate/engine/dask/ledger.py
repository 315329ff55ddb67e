"""What a Dask worker has and who holds it: tasks wait here for what they need, in order, but not behind one that needs more.

Dask places a task on a worker that has enough in all. It would let a task at the head of a worker's queue hold up those behind it
that need less or something else, for ever if an actor holds what the first one needs; so the queue is ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence


class Ledger:
    """Amounts in ten-thousandths."""

    def __init__(self, total: Mapping[str, int]) -> None:
        self.free = dict(total)
        self._waiting: list[tuple[Mapping[str, int], asyncio.Future[None]]] = []

    async def acquire(self, demand: Mapping[str, int]) -> None:
        """Take `demand` once it is free.

        Raises:
            Exception: what `send_away` was given.
        """
        if self.fits(demand):
            self.take(demand)
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (demand, granted)
        self._waiting.append(entry)
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                self.give(demand)
            raise
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)

    def take(self, demand: Mapping[str, int]) -> None:
        """Take what may not be free: it was lent, and is wanted back."""
        for name in self.free.keys() & demand:
            self.free[name] -= demand[name]

    def give(self, demand: Mapping[str, int]) -> None:
        """Give back, and let go on those for whom there is enough now."""
        for name in self.free.keys() & demand:  # what has been removed stays so
            self.free[name] += demand[name]
        self._let_go()

    def add(self, name: str, amount: int) -> None:
        """There is so much more of something, which may be new."""
        self.free[name] = self.free.get(name, 0) + amount
        self._let_go()

    def remove(self, names: Sequence[str], reason: Exception) -> None:
        """There is nothing of these any more: those who wait for them raise `reason`."""
        gone = set(names)
        for name in gone:
            self.free.pop(name, None)
        for demand, granted in list(self._waiting):
            if not gone.isdisjoint(demand) and not granted.done():
                granted.set_exception(reason)

    def _let_go(self) -> None:
        for entry in list(self._waiting):
            if self.fits(entry[0]) and not entry[1].done():
                self._waiting.remove(entry)
                self.take(entry[0])
                entry[1].set_result(None)

    def send_away(self, reason: Exception) -> None:
        """Have all that wait raise `reason`."""
        waiting, self._waiting = self._waiting, []
        for _demand, granted in waiting:
            if not granted.done():
                granted.set_exception(reason)

    def fits(self, demand: Mapping[str, int]) -> bool:
        """Whether all of it is free."""
        return all(self.free.get(name, 0) >= amount for name, amount in demand.items())
