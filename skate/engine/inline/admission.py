"""Letting tasks and actors start as soon as the resources they ask for are free."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.engine.inline.resources import Holding, Ledger
    from skate.engine.inline.scheduler import Scheduler
    from skate.engine.placement.where import Where

Demand = dict[str, int]


class Entry:
    """Something that waits for resources."""

    __slots__ = ("demand", "refuse", "start", "wanted", "where")

    def __init__(
        self,
        demand: Demand,
        where: Where,
        wanted: Callable[[], bool],
        start: Callable[[Holding], None],
        refuse: Callable[[str, str], None],
    ) -> None:
        self.demand = demand
        self.where = where
        self.wanted = wanted
        self.start = start
        self.refuse = refuse
        """Called with (kind, text) if it will never be let in."""

    @property
    def key(self) -> tuple[Any, ...]:
        """Those with the same key wait in one queue."""
        return (self.where, *sorted(self.demand.items()))


class Admission:
    """Who waits for resources, in order of arrival among those with the same demand."""

    def __init__(self, ledger: Ledger, scheduler: Scheduler) -> None:
        self.ledger = ledger
        self._scheduler = scheduler
        self._waiting: dict[tuple[Any, ...], deque[Entry]] = {}
        self._infeasible: dict[str, int] = {}
        self.on_groups: Callable[[], None] = lambda: None
        """Called when placement groups have decided something."""

    def ask(self, entry: Entry, who: str) -> str:
        """Start the entry when its demand is free. Returns why that will never be; empty if it may."""
        shortage = "" if self.refused(entry) else self.ledger.shortage(entry.demand, entry.where)
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

    def refused(self, entry: Entry) -> bool:
        """Whether the entry will never be let in; it is told."""
        kind, text = self.ledger.refusal(entry.demand, entry.where)
        if kind:
            entry.refuse(kind, text)
        return bool(kind)

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
        """Let those at the heads of the queues try again, placement groups first (with the lock held)."""
        if self.ledger.groups.waiting:
            self.ledger.groups.settle()
            self.on_groups()
        for demand in list(self._waiting):
            self._next(demand)

    def stuck(self) -> str:
        """Who waits for resources, in words."""
        with self._scheduler.lock:
            parts = [f"{count} can never run, for want of {text}" for text, count in self._infeasible.items()]
            count = sum(len(queue) for queue in self._waiting.values())
            return "; ".join(parts + ([f"{count} wait for resources that others hold"] if count else []))

    def _next(self, key: tuple[Any, ...]) -> None:
        queue = self._waiting[key]
        entry = queue.popleft()
        if not queue:
            del self._waiting[key]
        self._scheduler.push(lambda: self._admit(entry, True))

    def _admit(self, entry: Entry, again: bool = False) -> None:
        if not entry.wanted():
            return
        key = entry.key
        with self._scheduler.lock:
            if self.refused(entry):
                if key in self._waiting:
                    self._next(key)
                return
            holding = self.ledger.take(entry.demand, entry.where)
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
