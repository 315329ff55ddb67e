"""What a Dask worker sets aside for placement groups."""

from __future__ import annotations

import asyncio

import pytest

from skate import exceptions
from skate.engine.dask.calls import MARKS, UNIT, Placed, cpus_of, inside, outside
from skate.engine.dask.stock import Stock

CPU = {"CPU": UNIT}


def test_bundles_are_set_aside_all_or_none() -> None:
    stock = Stock({"CPU": 2 * UNIT, "GPU": UNIT})
    assert not stock.reserve("a", {0: CPU, 1: {"GPU": UNIT}, 2: {"GPU": UNIT}})
    assert stock.ledger.free == {"CPU": 2 * UNIT, "GPU": UNIT} and stock.gpu_free == {0: UNIT}
    assert stock.reserve("a", {0: CPU, 1: {"GPU": UNIT}})
    assert stock.ledger.free == {"CPU": UNIT, "GPU": 0} and stock.gpu_free == {0: 0}
    stock.unreserve("a", [0, 1])
    assert stock.ledger.free == {"CPU": 2 * UNIT, "GPU": UNIT} and stock.gpu_free == {0: UNIT}


def test_work_in_a_group_holds_of_its_bundle_and_takes_its_gpu() -> None:
    async def run() -> None:
        stock = Stock({"CPU": UNIT, "GPU": 2 * UNIT})
        assert stock.reserve("a", {0: {"CPU": UNIT, "GPU": UNIT}, 1: {"GPU": UNIT}})
        shown = stock.open("a")
        assert shown["GPU_group_a"] == 2 * UNIT and shown["CPU_group_0_a"] == UNIT
        assert shown["bundle_group_a"] == 2 * MARKS
        placed = Placed("a", 1, False)
        share = await stock.take(inside({"GPU": UNIT}, placed), placed)
        assert share.gpus == {1: UNIT} and stock.ledger.free["GPU_group_1_a"] == 0
        waiting = asyncio.ensure_future(stock.take(inside({"GPU": UNIT}, placed), placed))
        await asyncio.sleep(0)
        assert not waiting.done()
        stock.give(share)
        assert (await waiting).gpus == {1: UNIT}

    asyncio.run(run())


def test_what_waits_in_a_group_that_goes_and_what_comes_after_are_refused() -> None:
    async def run() -> None:
        stock = Stock(CPU)
        placed = Placed("a", -1, False)
        assert stock.reserve("a", {0: CPU})
        stock.open("a")
        share = await stock.take(inside(CPU, placed), placed)
        waiting = asyncio.ensure_future(stock.take(inside(CPU, placed), placed))
        await asyncio.sleep(0)
        assert "CPU_group_a" in stock.close("a")
        with pytest.raises(exceptions.TaskPlacementGroupRemoved):
            await waiting
        stock.give(share)
        stock.unreserve("a", [0])
        assert stock.ledger.free == CPU and stock.total == CPU
        with pytest.raises(exceptions.TaskPlacementGroupRemoved):
            await stock.take(inside(CPU, placed), placed)

    asyncio.run(run())


def test_demands_by_the_names_of_a_group() -> None:
    placed = Placed("a", 0, True)
    demand = {"CPU": UNIT, "licence": 5}
    assert outside(inside(demand, placed), placed) == outside(demand, None) == demand
    assert cpus_of(inside(demand, placed)) == {"CPU_group_a": UNIT, "CPU_group_0_a": UNIT}
