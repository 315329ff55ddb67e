"""Letting tasks and actors start as soon as the resources they ask for are free."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.engine.inline.resources import Holding, Ledger
    from skate.engine.inline.scheduler import Scheduler

Demand = dict[str, int]


class Entry:
    """Something that waits for resources."""

    __slots__ = ("demand", "start", "wanted")

    def __init__(self, demand: Demand, wanted: Callable[[], bool], start: Callable[[Holding], None]) -> None:
        self.demand = demand
        self.wanted = wanted
        self.start = start


class Admission:
    """Who waits for resources, in order of arrival among those with the same demand."""

    def __init__(self, ledger: Ledger, scheduler: Scheduler) -> None:
        self.ledger = ledger
        self._scheduler = scheduler
        self._waiting: dict[tuple[tuple[str, int], ...], deque[Entry]] = {}
        self._infeasible: dict[str, int] = {}

    def ask(self, entry: Entry, who: str) -> str:
        """Start the entry when its demand is free. Returns why that will never be; empty if it may."""
        shortage = self.ledger.shortage(entry.demand)
        if shortage:
            with self._scheduler.lock:
                count = self._infeasible[shortage] = self._infeasible.get(shortage, 0) + 1
            if count == 1:
                logging.getLogger("skate").warning(
                    "%s needs %s: it can never run. Ask for less, or give init() more.", who, shortage
                )
        else:
            self._scheduler.push(lambda: self._admit(entry))
        return shortage

    def give_back(self, holding: Holding) -> None:
        """Resources are free again."""
        with self._scheduler.lock:
            self.ledger.give_back(holding)
            self.freed()

    def lend(self, holding: Holding, lent: bool) -> None:
        """A CPU is not used while its holder waits (`lent`), and then it is again."""
        with self._scheduler.lock:
            if lent:
                self.ledger.lend_cpu(holding)
                self.freed()
            else:
                self.ledger.take_cpu_back(holding)

    def freed(self) -> None:
        """Let those at the heads of the queues try again (with the lock held)."""
        for demand in list(self._waiting):
            self._next(demand)

    def stuck(self) -> str:
        """Who waits for resources, in words."""
        with self._scheduler.lock:
            parts = [f"{count} can never run, for want of {text}" for text, count in self._infeasible.items()]
            count = sum(len(queue) for queue in self._waiting.values())
            return "; ".join(parts + ([f"{count} wait for resources that others hold"] if count else []))

    def _next(self, key: tuple[tuple[str, int], ...]) -> None:
        queue = self._waiting[key]
        entry = queue.popleft()
        if not queue:
            del self._waiting[key]
        self._scheduler.push(lambda: self._admit(entry, True))

    def _admit(self, entry: Entry, again: bool = False) -> None:
        if not entry.wanted():
            return
        key = tuple(sorted(entry.demand.items()))
        with self._scheduler.lock:
            holding = self.ledger.take(entry.demand)
            if holding is None:
                queue = self._waiting.setdefault(key, deque())
                if again:
                    queue.appendleft(entry)
                else:
                    queue.append(entry)
                return
            if key in self._waiting:
                self._next(key)
        entry.start(holding)
