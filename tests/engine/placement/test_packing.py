"""Packing: what it chooses fits, keeps the strategy's promise, and exists whenever the strategy can be kept."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from skate.engine.placement.machines import Machine
from skate.engine.placement.packing import pack
from skate.engine.placement.resources import UNIT
from skate.engine.placement.where import conditions

_SIZES = st.integers(1, 4)
_MACHINES = st.lists(st.tuples(_SIZES, st.integers(0, 2)), min_size=1, max_size=4)
_BUNDLES = st.lists(st.tuples(_SIZES, st.sampled_from([0, UNIT // 2, UNIT])), min_size=1, max_size=4)
_STRATEGIES = st.sampled_from(["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"])


def _machines(sizes: list[tuple[int, int]]) -> list[Machine]:
    return [
        Machine(i, f"m{i}", {"CPU": cpus, "GPU": gpus}, {"zone": "ab"[i % 2]})
        for i, (cpus, gpus) in enumerate(sizes)
    ]


def _demands(bundles: list[tuple[int, int]]) -> list[dict[str, int]]:
    return [{"CPU": cpus * UNIT, **({"GPU": gpus} if gpus else {})} for cpus, gpus in bundles]


@given(_MACHINES, _BUNDLES, _STRATEGIES)
def test_what_is_chosen_fits_and_keeps_the_strategy(
    sizes: list[tuple[int, int]], bundles: list[tuple[int, int]], strategy: str
) -> None:
    machines = _machines(sizes)
    demands = _demands(bundles)
    chosen = pack(demands, [()] * len(demands), strategy, machines)
    assert all(machine.resources.free == machine.resources.total for machine in machines), "nothing is taken"
    if chosen is None:
        return
    for machine, demand in sorted(zip(chosen, demands, strict=True), key=lambda pair: -pair[1].get("GPU", 0)):
        assert machine.resources.fits(demand)
        machine.resources.acquire(demand)
    names = {machine.id for machine in chosen}
    if strategy == "STRICT_PACK":
        assert len(names) == 1
    if strategy == "STRICT_SPREAD":
        assert len(names) == len(demands)


@given(_MACHINES, _BUNDLES, _STRATEGIES)
def test_machines_that_are_to_be_alike_are(
    sizes: list[tuple[int, int]], bundles: list[tuple[int, int]], strategy: str
) -> None:
    machines = _machines(sizes)
    demands = _demands(bundles)
    chosen = pack(demands, [()] * len(demands), strategy, machines, alike=["zone"])
    zones = {machine.labels["zone"] for machine in machines}
    within = [
        pack(demands, [()] * len(demands), strategy, [m for m in machines if m.labels["zone"] == zone])
        for zone in zones
    ]
    assert (chosen is None) == all(each is None for each in within)
    if chosen is not None:
        assert len({machine.labels["zone"] for machine in chosen}) == 1
    assert pack(demands, [()] * len(demands), strategy, machines, alike=["no such label"]) is None


def test_a_bundle_that_is_placed_anew_stays_alike() -> None:
    machines = _machines([(1, 0), (4, 0), (4, 0)])  # in the zones a, b, a
    [chosen] = pack([{"CPU": UNIT}], [()], "PACK", machines, alike=["zone"], avoid=[machines[2]]) or []
    assert chosen.labels["zone"] == "a"


@given(_MACHINES, _BUNDLES)
def test_a_strict_spread_is_found_if_there_is_one(
    sizes: list[tuple[int, int]], bundles: list[tuple[int, int]]
) -> None:
    machines = _machines(sizes)
    demands = _demands(bundles)
    possible = any(
        all(machine.resources.fits(demand) for machine, demand in zip(order, demands, strict=True))
        for order in permutations(machines, len(demands))
    )
    assert (pack(demands, [()] * len(demands), "STRICT_SPREAD", machines) is not None) == possible


@given(_MACHINES, _BUNDLES)
def test_a_strict_pack_is_found_if_there_is_one(
    sizes: list[tuple[int, int]], bundles: list[tuple[int, int]]
) -> None:
    machines = _machines(sizes)
    demands = [{"CPU": cpus * UNIT} for cpus, _gpus in bundles]
    possible = any(
        machine.resources.free["CPU"] >= sum(demand["CPU"] for demand in demands) for machine in machines
    )
    assert (pack(demands, [()] * len(demands), "STRICT_PACK", machines) is not None) == possible


def test_pack_uses_one_machine_and_spread_as_many_as_there_are() -> None:
    machines = _machines([(2, 0), (4, 0), (4, 0)])
    demands = [{"CPU": UNIT}] * 3
    packed = pack(demands, [()] * 3, "PACK", machines)
    spread = pack(demands, [()] * 3, "SPREAD", machines)
    assert packed is not None
    assert {machine.id for machine in packed} == {"m1"}
    assert spread is not None
    assert {machine.id for machine in spread} == {"m0", "m1", "m2"}


def test_bundles_go_where_their_selectors_point() -> None:
    machines = _machines([(4, 0), (4, 0)])
    selectors = [conditions({"zone": "b"}), conditions({"zone": "!b"})]
    chosen = pack([{"CPU": UNIT}] * 2, selectors, "PACK", machines)
    assert chosen is not None
    assert [machine.id for machine in chosen] == ["m1", "m0"]
    assert pack([{"CPU": UNIT}] * 2, selectors, "STRICT_PACK", machines) is None


def test_strict_pack_prefers_its_target() -> None:
    chosen = pack([{"CPU": UNIT}], [()], "STRICT_PACK", _machines([(4, 0), (4, 0)]), target="m1")
    assert chosen is not None
    assert chosen[0].id == "m1"
