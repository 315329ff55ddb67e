"""Waiting for resources at a Dask worker."""

from __future__ import annotations

import asyncio

import pytest

from skate.engine.dask.ledger import Ledger


async def _settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_what_fits_is_not_held_up_by_what_does_not() -> None:
    async def run() -> None:
        ledger = Ledger({"CPU": 20_000, "x": 10_000})
        await ledger.acquire({"CPU": 10_000, "x": 10_000})
        large = asyncio.ensure_future(ledger.acquire({"CPU": 20_000}))
        other = asyncio.ensure_future(ledger.acquire({"x": 10_000}))
        await _settle()
        await asyncio.wait_for(ledger.acquire({"CPU": 10_000}), 1)
        assert not large.done() and not other.done()
        ledger.give({"CPU": 10_000, "x": 10_000})
        await _settle()
        assert other.done() and not large.done()
        ledger.give({"CPU": 10_000})
        await asyncio.wait_for(large, 1)
        assert ledger.free == {"CPU": 0, "x": 0}

    asyncio.run(run())


def test_what_was_lent_is_taken_back_though_it_is_not_free() -> None:
    async def run() -> None:
        ledger = Ledger({"CPU": 10_000})
        await ledger.acquire({"CPU": 10_000})
        ledger.give({"CPU": 10_000})
        await ledger.acquire({"CPU": 10_000})
        ledger.take({"CPU": 10_000})
        waiting = asyncio.ensure_future(ledger.acquire({"CPU": 10_000}))
        ledger.give({"CPU": 10_000})
        await _settle()
        assert not waiting.done(), "one of the two is still at work"
        ledger.give({"CPU": 10_000})
        await asyncio.wait_for(waiting, 1)

    asyncio.run(run())


def test_those_who_wait_can_be_sent_away_or_give_up() -> None:
    async def run() -> None:
        ledger = Ledger({"CPU": 0})
        first, second = (asyncio.ensure_future(ledger.acquire({"CPU": 1})) for _ in range(2))
        await _settle()
        first.cancel()
        await _settle()
        ledger.send_away(KeyError("elsewhere"))
        with pytest.raises(KeyError):
            await second
        ledger.give({"CPU": 1})
        assert ledger.free == {"CPU": 1}

    asyncio.run(run())
