"""What stands for a group of actors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class CommunicatorHandle:
    """A group of actors that was declared by the driver.

    Attributes:
        actors: Its members, in the order of their ranks.
        name: Its name: what the operations of `skate.util.collective` take as `group_name`.
        backend: What carries its operations.
    """

    actors: list[Any]
    name: str
    backend: str
    _ranks: dict[Any, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._ranks = {actor: rank for rank, actor in enumerate(self.actors)}

    def get_rank(self, actor: Any) -> int:
        """The rank of an actor; -1 if it is no member."""
        return self._ranks.get(actor, -1)


__all__ = ["CommunicatorHandle"]
