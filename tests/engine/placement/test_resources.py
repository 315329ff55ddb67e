"""Counting resources: nothing is made, nothing is lost, nothing is given twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skate.engine.placement.resources import UNIT, Holding, Resources, scale, unscale

_FRACTIONS = st.integers(1, UNIT - 1)
_GPUS = st.one_of(st.just(0), _FRACTIONS, st.integers(1, 5).map(lambda count: count * UNIT))
_DEMANDS = st.builds(
    lambda cpu, gpu, custom: {n: a for n, a in {"CPU": cpu, "GPU": gpu, "x": custom}.items() if a},
    st.integers(0, 5 * UNIT),
    _GPUS,
    st.integers(0, 2 * UNIT),
)


@given(st.dictionaries(st.sampled_from(["CPU", "GPU", "x", "memory"]), st.integers(0, 10**7)))
def test_scaling_there_and_back_is_exact(amounts: dict[str, int]) -> None:
    wanted = {name: amount / UNIT for name, amount in amounts.items() if amount}
    assert unscale(scale(wanted)) == wanted


@given(
    cpus=st.integers(0, 4),
    gpus=st.integers(0, 4),
    steps=st.lists(st.tuples(_DEMANDS, st.booleans(), st.integers(0, 1000)), max_size=40),
)
def test_what_is_free_and_what_is_held_are_always_the_whole(
    cpus: int, gpus: int, steps: list[tuple[dict[str, int], bool, int]]
) -> None:
    resources = Resources({"CPU": cpus, "GPU": gpus, "x": 1.5})
    held: list[Holding] = []
    for demand, acquire, which in steps:
        if acquire:
            if not held:
                assert resources.fits(demand) == resources.feasible(demand)
            if not resources.fits(demand):
                continue
            holding = resources.acquire(demand)
            assert holding.amounts == demand
            assert sum(holding.gpus.values()) == demand.get("GPU", 0)
            if demand.get("GPU", 0) >= UNIT:
                assert set(holding.gpus.values()) == {UNIT}
            else:
                assert len(holding.gpus) <= 1
            held.append(holding)
        elif held:
            resources.release(held.pop(which % len(held)))
        for name, total in resources.total.items():
            assert resources.free[name] >= 0
            assert resources.free[name] + sum(h.amounts.get(name, 0) for h in held) == total
        for index, free in resources.gpu_free.items():
            assert 0 <= free <= UNIT
            assert free + sum(h.gpus.get(index, 0) for h in held) == UNIT
    for holding in held:
        resources.release(holding)
    assert resources.free == resources.total
    assert set(resources.gpu_free.values()) <= {UNIT}


@given(st.lists(_FRACTIONS, min_size=1, max_size=6))
def test_a_share_of_a_gpu_goes_to_the_fullest_that_has_room(shares: list[int]) -> None:
    resources = Resources({"GPU": 6})
    for share in shares:
        rooms = [free for free in resources.gpu_free.values() if free >= share]
        holding = resources.acquire({"GPU": share})
        (index,) = holding.gpus
        assert resources.gpu_free[index] + share == min(rooms)


def test_a_blocked_workers_cpu_is_lent_and_taken_back() -> None:
    resources = Resources({"CPU": 1})
    holding = resources.acquire({"CPU": UNIT})
    assert not resources.fits({"CPU": UNIT})
    resources.lend_cpu(holding)
    other = resources.acquire({"CPU": UNIT})
    resources.take_cpu_back(holding)
    assert resources.free["CPU"] == -UNIT
    resources.release(other)
    resources.release(holding)
    assert resources.free == resources.total
