"""Finding deadlocks: a graph of who waits for whom, and the proof that some can never go on. Pure.

The proof assumes the best of everybody it does not know to be stuck: whoever runs will end, and give back all it holds. Waits that
may then go on are struck off, one after the other, until none can be. What is left waits for itself, for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

_INDEX_BITS = 24


class Wait(NamedTuple):
    """A task or call that waits in `get` or `wait`, without a timeout."""

    client: int
    serial: int
    order: int
    """Counts up with every wait: the larger, the younger."""
    keys: tuple[int, ...]
    needed: int
    """How many of the keys it waits for."""
    task: int
    actor: int
    """The actor that runs it; 0 for a task."""
    name: str
    pid: int
    line: str


class Host(NamedTuple):
    """An actor, as far as its calls have to wait."""

    placed: bool
    """Whether it has been given a process."""
    capacity: int
    """Calls at once; 0: not to be told."""
    name: str


class WaitGraph:
    """Who waits for whom.

    Args:
        waits: All waits without a timeout.
        facts: By key of a call: ("args", name, keys), ("sent", name, worker), ("lease", name, lane) or ("actor", name, actor,
            group). A call that is not there may end at any time.
        hosts: By key, the actors.
        holders: Of these clients, those that hold what a lane of a client (or an actor, of client -1) needs, if it could not be
            placed although all others held nothing; else none.
    """

    def __init__(
        self,
        waits: Sequence[Wait],
        facts: Mapping[int, tuple[object, ...]],
        hosts: Mapping[int, Host],
        holders: Callable[[int, int, set[int]], set[int]],
    ) -> None:
        self._facts = facts
        self._hosts = hosts
        self._holding = holders
        self._stuck = list(waits)

    def stuck(self) -> list[Wait]:
        """The waits that can never end."""
        while True:
            left = [wait for wait in self._stuck if not self._can_end(wait)]
            if len(left) == len(self._stuck):
                return left
            self._stuck = left

    def circle(self) -> list[Wait]:
        """Of those, some that wait for one another in a ring; `stuck` has been called, and found some."""
        path = [self._stuck[0]]
        while True:
            following = next((w for key in path[-1].keys for w in self._blockers(key)), None)
            if following is None:
                return path[-1:]  # it waits for what nobody can give, rather than for somebody
            if following in path:
                return path[path.index(following) :]
            path.append(following)

    def _can_end(self, wait: Wait) -> bool:
        free = sum(not self._blockers(key) for key in wait.keys)
        return free >= wait.needed

    def _blockers(self, key: int) -> list[Wait]:
        """The stuck waits that keep a value from being made; none if it may come."""
        base = key >> _INDEX_BITS << _INDEX_BITS
        fact = self._facts.get(base)
        own = [wait for wait in self._stuck if wait.task == base]
        if fact is None or own:
            return own
        kind = fact[0]
        if kind == "args":
            arguments = fact[2]
            assert isinstance(arguments, list | tuple)
            return next((found for each in arguments if (found := self._blockers(each))), [])
        if kind == "lease":
            assert isinstance(fact[2], int)
            return self._holders(base >> 64, fact[2])
        if kind == "actor":
            return self._in_actor(fact[2], fact[3])
        return []

    def _in_actor(self, actor: object, group: object) -> list[Wait]:
        assert isinstance(actor, int)
        host = self._hosts.get(actor)
        if host is None:
            return []
        constructing = [wait for wait in self._stuck if wait.task == actor]
        if constructing:
            return constructing
        if not host.placed:
            return self._holders(-1, actor)
        inside = [wait for wait in self._stuck if wait.actor == actor]
        return inside if host.capacity and not group and len(inside) >= host.capacity else []

    def _holders(self, client: int, lane: int) -> list[Wait]:
        holding = self._holding(client, lane, {wait.client for wait in self._stuck})
        return [wait for wait in self._stuck if wait.client in holding]


def explain(circle: Sequence[Wait], facts: Mapping[int, tuple[object, ...]]) -> str:
    """What to tell the user of a ring of waits."""
    lines = []
    for wait in circle:
        names = sorted(
            {str(facts[base][1]) for key in wait.keys if (base := key >> _INDEX_BITS << _INDEX_BITS) in facts}
        )
        what = ", ".join(names) or "a result"
        lines.append(f"{wait.name} (pid {wait.pid}) waits for {what} at {wait.line}")
    return (
        f"Deadlock: none of these can go on, as each waits for one that comes later or for what they hold: {'; '.join(lines)}. "
        "Return refs rather than get() them inside, give the actor max_concurrency, or make one of them hold less."
    )
