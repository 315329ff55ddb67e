"""What the node remembers: reports of processes that are gone or idle, workers and actors that have ended. Pure and bounded."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any

WORKERS = 1000
ACTORS = 10_000
CALLS = 100_000


class NodeHistory:
    """Bounded memory of what has been.

    Args:
        calls: Ended calls to remember; the oldest reports are dropped beyond that.
    """

    def __init__(self, calls: int = CALLS) -> None:
        self.limit = calls
        self.reports: deque[tuple[int, bytes]] = deque()
        self.count = 0
        self.workers: deque[dict[str, Any]] = deque(maxlen=WORKERS)
        self.actors: OrderedDict[int, dict[str, Any]] = OrderedDict()
        """What is told of each actor, by key; the first to have died go first when there are too many."""
        self.started: dict[int, float] = {}

    def keep(self, count: int, payload: bytes) -> None:
        """A process hands over `count` calls that have ended."""
        if not self.limit:
            return
        self.reports.append((count, payload))
        self.count += count
        while self.count > self.limit and len(self.reports) > 1:
            self.count -= self.reports.popleft()[0]

    def worker_started(self, number: int, now: float) -> None:
        """A worker has been forked."""
        self.started[number] = now

    def worker_ended(self, facts: dict[str, Any], now: float) -> None:
        """A worker's process is gone."""
        start = self.started.pop(facts["number"], now)
        self.workers.append({**facts, "start": start, "end": now})

    def actor_changed(self, key: int, facts: dict[str, Any], now: float) -> None:
        """An actor has been created, or its state is another."""
        known = self.actors.get(key)
        if known is None:
            known = self.actors[key] = {"created": now, "started": 0.0, "ended": 0.0}
        # What an earlier process was is remembered when the actor has none any more.
        known.update({name: value for name, value in facts.items() if value or name not in known})
        if facts["state"] == "ALIVE":
            known["started"] = now
        elif facts["state"] == "DEAD" and not known["ended"]:
            known["ended"] = now
            self._forget_dead()

    def _forget_dead(self) -> None:
        if len(self.actors) <= ACTORS:
            return
        for key, facts in self.actors.items():
            if facts["state"] == "DEAD":
                del self.actors[key]
                return
