"""Where the members of a group meet: an actor of the session, which hands each what all have brought."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import skate
from skate.util.collective.const import get_store_name

_NAMESPACE = "_skate"


class _Meeting:
    """Rounds of one group: a round is over when all members have brought something to it."""

    def __init__(self, world_size: int) -> None:
        self.world_size = world_size
        self.rounds: dict[Any, tuple[dict[int, Any], asyncio.Event]] = {}
        self.left: dict[Any, int] = {}
        self.mail: dict[Any, asyncio.Future[Any]] = {}
        self.joined: dict[int, int] = {}
        self.tokens: list[str] = []

    async def join(self, rank: int, where: Any, world_size: int) -> tuple[str, list[Any]]:
        """Begin: a token that all members of this making of the group share, and where each of them is."""
        if world_size != self.world_size:
            raise ValueError(
                f"world_size={world_size}: another member of this group was told {self.world_size}."
            )
        generation = self.joined.get(rank, 0)
        self.joined[rank] = generation + 1
        while len(self.tokens) <= generation:
            self.tokens.append(os.urandom(6).hex())
        token = self.tokens[generation]
        return token, await self.exchange((token, "join"), rank, where)

    async def exchange(self, name: Any, rank: int, value: Any) -> list[Any]:
        """What all members bring to this round, by rank."""
        if name not in self.rounds:
            self.rounds[name] = ({}, asyncio.Event())
            self.left[name] = self.world_size
        values, complete = self.rounds[name]
        values[rank] = value
        if len(values) == self.world_size:
            complete.set()
        await complete.wait()
        self.left[name] -= 1
        if not self.left[name]:
            del self.rounds[name], self.left[name]
        return [values[each] for each in range(self.world_size)]

    async def send(self, name: Any, value: Any) -> None:
        """Leave a value for one receiver."""
        self._box(name).set_result(value)

    async def receive(self, name: Any) -> Any:
        """Take the value that was, or will be, left."""
        value = await self._box(name)
        del self.mail[name]
        return value

    def _box(self, name: Any) -> asyncio.Future[Any]:
        if name not in self.mail:
            self.mail[name] = asyncio.get_running_loop().create_future()
        return self.mail[name]


def meeting_of(group_name: str, world_size: int) -> Any:
    """The handle of a group's meeting; it ends once all members have let go of it."""
    options = {"name": get_store_name(group_name), "namespace": _NAMESPACE, "num_cpus": 0}
    made = skate.remote(_Meeting).options(**options, get_if_exists=True, max_concurrency=10_000)
    return made.remote(world_size)


def ask(call: Any, seconds: float, what: str) -> Any:
    """The answer of a meeting.

    Raises:
        TimeoutError: not all members came in time.
    """
    try:
        return skate.get(call, timeout=seconds)
    except skate.exceptions.GetTimeoutError as error:
        raise TimeoutError(
            f"{what}: not all members came within {seconds:g} seconds. Every member must make the same calls in the same order; "
            "one may have died. gloo_timeout sets the limit, in milliseconds."
        ) from error


__all__ = ["ask", "meeting_of"]
