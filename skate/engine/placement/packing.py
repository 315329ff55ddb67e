"""Which machine each bundle of a placement group gets. Nothing is taken here: all is tried on copies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from skate.engine.placement.where import Conditions, meets

if TYPE_CHECKING:
    from skate.engine.placement.machines import Machine
    from skate.engine.placement.resources import Resources

Demand = Mapping[str, int]


def pack(
    demands: Sequence[Demand],
    selectors: Sequence[Conditions],
    strategy: str,
    machines: Iterable[Machine],
    *,
    emptied: bool = False,
    avoid: Iterable[Machine] = (),
    target: str = "",
    alike: Sequence[str] = (),
) -> list[Machine] | None:
    """A machine for each bundle, or None if they don't fit.

    Args:
        demands: What each bundle reserves.
        selectors: What the machine of each bundle must be like.
        strategy: "PACK", "SPREAD", "STRICT_PACK" or "STRICT_SPREAD".
        machines: Those there are.
        emptied: Decide as if nobody held anything: whether it can fit at all.
        avoid: Machines that have bundles of the group already.
        target: For "STRICT_PACK": the id of the machine to prefer.
        alike: Labels that all machines of the group must have, with the same values.
    """
    having = list(avoid)
    taken = {machine.id for machine in having}
    for some in _domains(having or machines, alike):
        members = [machine for machine in machines if _values(machine, alike) == some]
        rooms = [_Room(machine, emptied) for machine in members]
        found = _within(demands, selectors, strategy, rooms, taken, target)
        if found is not None:
            return found
    return None


def _values(machine: Machine, labels: Sequence[str]) -> tuple[str | None, ...]:
    return tuple(machine.labels.get(label) for label in labels)


def _domains(machines: Iterable[Machine], labels: Sequence[str]) -> list[tuple[str | None, ...]]:
    """The values of these labels that machines have, each once: one of nothing where there are no labels."""
    values = dict.fromkeys(_values(machine, labels) for machine in machines)
    return [each for each in values if None not in each]


def _within(
    demands: Sequence[Demand],
    selectors: Sequence[Conditions],
    strategy: str,
    rooms: list[_Room],
    taken: set[str],
    target: str,
) -> list[Machine] | None:
    if strategy == "STRICT_PACK":
        return _strict_pack(demands, selectors, rooms, taken, target)
    if strategy == "STRICT_SPREAD":
        return _strict_spread(demands, selectors, [r for r in rooms if r.machine.id not in taken])
    if strategy == "SPREAD":
        return _spread(demands, selectors, rooms, taken)
    return _pack(demands, selectors, rooms, taken)


class _Room:
    """A machine, and what would still be free on it."""

    def __init__(self, machine: Machine, emptied: bool) -> None:
        self.machine = machine
        self.resources: Resources = machine.resources.copy(emptied)
        self.bundles = 0

    def holds(self, demand: Demand, selector: Conditions) -> bool:
        return meets(self.machine.labels, selector) and self.resources.fits(demand)

    def take(self, demand: Demand) -> None:
        self.resources.acquire(demand)
        self.bundles += 1


def _strict_pack(
    demands: Sequence[Demand],
    selectors: Sequence[Conditions],
    rooms: list[_Room],
    taken: set[str],
    target: str,
) -> list[Machine] | None:
    if taken:
        rooms = [room for room in rooms if room.machine.id in taken]
    rooms.sort(key=lambda room: room.machine.id != target)
    for room in rooms:
        if len(_fill(demands, selectors, range(len(demands)), room)) == len(demands):
            return [room.machine] * len(demands)
    return None


def _strict_spread(
    demands: Sequence[Demand], selectors: Sequence[Conditions], rooms: list[_Room]
) -> list[Machine] | None:
    """A matching of bundles and machines, by augmenting paths: found whenever there is one."""
    holder: dict[int, int] = {}
    """By number of a room: the bundle that has it."""

    def place(bundle: int, seen: set[int]) -> bool:
        for number, room in enumerate(rooms):
            if number in seen or not room.holds(demands[bundle], selectors[bundle]):
                continue
            seen.add(number)
            if number not in holder or place(holder[number], seen):
                holder[number] = bundle
                return True
        return False

    if len(demands) > len(rooms) or not all(place(bundle, set()) for bundle in range(len(demands))):
        return None
    found = {bundle: rooms[number].machine for number, bundle in holder.items()}
    return [found[bundle] for bundle in range(len(demands))]


def _spread(
    demands: Sequence[Demand], selectors: Sequence[Conditions], rooms: list[_Room], taken: set[str]
) -> list[Machine] | None:
    for room in rooms:
        room.bundles = int(room.machine.id in taken)
    found: dict[int, Machine] = {}
    for index in _largest_first(demands):
        fitting = [room for room in rooms if room.holds(demands[index], selectors[index])]
        if not fitting:
            return None
        room = min(fitting, key=lambda r: (r.bundles, r.resources.utilization(demands[index])))
        room.take(demands[index])
        found[index] = room.machine
    return [found[index] for index in range(len(demands))]


def _pack(
    demands: Sequence[Demand], selectors: Sequence[Conditions], rooms: list[_Room], taken: set[str]
) -> list[Machine] | None:
    """The machine that takes most of the bundles that are left, again and again."""
    found: dict[int, Machine] = {}
    left = _largest_first(demands)
    while left:
        trials = []
        for number, room in enumerate(rooms):
            trial = _Room(room.machine, False)
            trial.resources = room.resources.copy()
            held = _fill(demands, selectors, left, trial)
            trials.append((len(held), room.machine.id in taken, -number, held, trial))
        if not trials:
            return None
        count, _taken, place, held, trial = max(trials, key=lambda t: t[:3])
        if not count:
            return None
        rooms[-place] = trial
        for index in held:
            found[index] = trial.machine
        left = [index for index in left if index not in found]
    return [found[index] for index in range(len(demands))]


def _fill(
    demands: Sequence[Demand], selectors: Sequence[Conditions], indexes: Iterable[int], room: _Room
) -> list[int]:
    held = []
    for index in indexes:
        if room.holds(demands[index], selectors[index]):
            room.take(demands[index])
            held.append(index)
    return held


def _largest_first(demands: Sequence[Demand]) -> list[int]:
    return sorted(
        range(len(demands)), key=lambda index: (-demands[index].get("GPU", 0), -sum(demands[index].values()))
    )
