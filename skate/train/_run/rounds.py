"""Which ranks have reached a point that all must reach together. Decides only: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "Arrival",
    "LateWatch",
    "Rounds",
    "RoundsDiffer",
]


_RELAXABLE = ("report", "get_preemption_info")
"""Calls that have a meaning without the ranks that are gone."""


@dataclass(frozen=True)
class Arrival:
    """A rank that has come to a point.

    Args:
        kind: What it has called, such as "report".
        where: File and line of the call.
        value: What it brings.
    """

    kind: str
    where: str
    value: Any = None


class RoundsDiffer(Exception):
    """Ranks have called different things, or one has ended while others wait for it.

    Args:
        message: What differs.
        ranks: Those to blame.
    """

    def __init__(self, message: str, ranks: list[int]) -> None:
        super().__init__(message)
        self.ranks = ranks


class Rounds:
    """Collects the arrivals of one round after another.

    Args:
        world_size: How many ranks there are.
    """

    def __init__(self, world_size: int) -> None:
        self._world_size = world_size
        self._waiting: dict[int, Arrival] = {}
        self._ended: set[int] = set()
        self._gone: set[int] = set()
        self._done = 0

    def arrive(self, rank: int, arrival: Arrival) -> list[Arrival] | None:
        """Take note of an arrival.

        Returns:
            The arrivals of all ranks, in their order, if this was the last that was missing; else None.

        Raises:
            RoundsDiffer: another rank waits in another call, or has ended.
        """
        self._waiting[rank] = arrival
        for other, its in sorted(self._waiting.items()):
            if its.kind != arrival.kind:
                raise RoundsDiffer(
                    f"rank {other} has called {its.kind}() at {its.where} where rank {rank} has called "
                    f"{arrival.kind}() at {arrival.where}. Every rank must make the same calls in the same order.",
                    sorted((rank, other)),
                )
        self._check_ended()
        return self._whole()

    def leave(self, rank: int) -> list[Arrival] | None:
        """Wait for a rank no longer, where what the others call can be done without it.

        Args:
            rank: One whose worker is gone.

        Returns:
            The arrivals of all others, in their order, if it was the last that was missing; else None.
        """
        self._waiting.pop(rank, None)
        self._gone.add(rank)
        return self._whole()

    @property
    def waiting(self) -> dict[int, Arrival]:
        """The ranks that have come to the round under way, and where."""
        return dict(sorted(self._waiting.items()))

    @property
    def missing(self) -> list[int]:
        """The ranks that have not."""
        return [rank for rank in self.there if rank not in self._waiting]

    def give_up(self) -> list[int]:
        """End the round under way without the ranks that are missing.

        Returns:
            The ranks that have waited.
        """
        ranks = sorted(self._waiting)
        self._waiting.clear()
        return ranks

    @property
    def there(self) -> list[int]:
        """The ranks that have not left."""
        return [rank for rank in range(self._world_size) if rank not in self._gone]

    def _whole(self) -> list[Arrival] | None:
        if len(self._waiting) < len(self.there) or not self._waiting:
            return None
        if self._gone and next(iter(self._waiting.values())).kind not in _RELAXABLE:
            return None
        arrivals = [self._waiting[rank] for rank in self.there]
        self._waiting.clear()
        self._done += 1
        return arrivals

    def end(self, rank: int) -> None:
        """Take note that a rank's function has returned.

        Raises:
            RoundsDiffer: others wait for it.
        """
        self._ended.add(rank)
        self._check_ended()

    @property
    def all_ended(self) -> bool:
        """Whether every rank's function has returned."""
        return len(self._ended) == self._world_size

    def _check_ended(self) -> None:
        if not (self._ended and self._waiting):
            return
        ended = ", ".join(map(str, sorted(self._ended)))
        rank, its = min(self._waiting.items())
        raise RoundsDiffer(
            f"the training function has returned on rank {ended} after {self._done} calls of report and the "
            f"collectives, while rank {rank} waits in call {self._done + 1}, {its.kind}() at {its.where}. Every rank "
            "must make the same calls: report without a checkpoint on the ranks that have none.",
            sorted(self._ended),
        )


class LateWatch:
    """Whether a round has lasted too long.

    Args:
        timeout_s: Seconds after which it is given up; None: never.
        warn_every_s: Seconds between two warnings.
    """

    def __init__(self, timeout_s: float | None, warn_every_s: float) -> None:
        self.timeout_s, self._warn_every = timeout_s, warn_every_s
        self._since: float | None = None
        self._next_warning = 0.0

    def see(self, under_way: bool, now: float) -> None:
        """Take note of whether a round is under way: the same as before, as long as nobody says that none is."""
        if not under_way:
            self._since = None
        elif self._since is None:
            self._since, self._next_warning = now, now + self._warn_every

    def waited(self, now: float) -> float:
        """How long the round has lasted, in seconds."""
        return 0.0 if self._since is None else now - self._since

    @property
    def next_look(self) -> float | None:
        """When to look again."""
        if self._since is None:
            return None
        if self.timeout_s is None:
            return self._next_warning
        return min(self._next_warning, self._since + self.timeout_s)

    def look(self, now: float) -> Literal["warn", "give up"] | None:
        """What is due."""
        if self._since is None:
            return None
        if self.timeout_s is not None and now >= self._since + self.timeout_s:
            return "give up"
        if now >= self._next_warning:
            self._next_warning = now + self._warn_every
            return "warn"
        return None
