"""The machines of a session, real or simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skate.engine.placement.resources import Resources

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Machine:
    """One machine: what it has, and its labels.

    Args:
        number: Its place in the order of joining; 0 is the machine that the session started on.
        id: Its id in hex.
        resources: What it has.
        labels: Its labels; that with its id is added.
    """

    __slots__ = ("alive", "death", "id", "labels", "number", "resources")

    def __init__(
        self, number: int, id: str, resources: Mapping[str, float], labels: Mapping[str, str]
    ) -> None:
        self.number = number
        self.id = id
        self.resources = Resources(resources)
        self.labels = {"ray.io/node-id": id, **labels}
        self.alive = True
        self.death = ""
        """Why it is gone, in words."""

    @property
    def machine(self) -> Machine:
        """Itself: a machine is a place, as a bundle on it is."""
        return self


class Machines:
    """All machines that ever were."""

    def __init__(self, first: Machine) -> None:
        self.by_id = {first.id: first}
        self.first = first

    def __iter__(self) -> Iterator[Machine]:
        """Those that are alive."""
        return (machine for machine in self.by_id.values() if machine.alive)

    def add(self, machine: Machine) -> None:
        """A machine has joined."""
        self.by_id[machine.id] = machine

    def get(self, id: str) -> Machine | None:
        """A machine that is alive."""
        machine = self.by_id.get(id)
        return machine if machine is not None and machine.alive else None

    @property
    def single(self) -> bool:
        """Whether there has only ever been one."""
        return len(self.by_id) == 1
