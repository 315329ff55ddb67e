"""`@serve.batch`, on a plain asyncio loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from skate import serve
from skate.serve.exceptions import RayServeException


def test_calls_share_a_batch_and_errors_go_to_their_caller() -> None:
    sizes: list[int] = []

    @serve.batch(max_batch_size=4, batch_wait_timeout_s=0.02)
    async def double(xs: list[int]) -> list[Any]:
        sizes.append(len(xs))
        return [ValueError("three") if x == 3 else 2 * x for x in xs]

    async def run() -> list[Any]:
        return await asyncio.gather(*(double(x) for x in range(6)), return_exceptions=True)

    results = asyncio.run(run())
    assert [r for r in results if not isinstance(r, ValueError)] == [0, 2, 4, 8, 10]
    assert isinstance(results[3], ValueError)
    assert sizes == [4, 2]


def test_methods_have_batches_of_their_own_and_settings_change() -> None:
    class Model:
        def __init__(self, factor: int) -> None:
            self.factor = factor
            self.sizes: list[int] = []

        @serve.batch(max_batch_size=10, batch_wait_timeout_s=0.01)
        async def predict(self, xs: list[int], ys: list[int]) -> list[int]:
            self.sizes.append(len(xs))
            return [self.factor * x + y for x, y in zip(xs, ys, strict=True)]

    async def run() -> None:
        one, two = Model(1), Model(2)
        assert [*await asyncio.gather(one.predict(1, 1), two.predict(1, ys=1), one.predict(2, 2))] == [
            2,
            3,
            4,
        ]
        assert one.sizes == [2]
        Model.predict.set_max_batch_size(1)
        await asyncio.gather(one.predict(1, 1), one.predict(1, 1))
        assert one.sizes == [2, 1, 1]

    asyncio.run(run())


def test_streams_end_by_themselves() -> None:
    @serve.batch(max_batch_size=2, batch_wait_timeout_s=0.02)
    async def count(limits: list[int]) -> AsyncIterator[list[Any]]:
        for number in range(max(limits)):
            yield [number if number < limit else StopIteration for limit in limits]

    async def collect(limit: int) -> list[int]:
        return [item async for item in count(limit)]

    async def run() -> Any:
        return await asyncio.gather(collect(1), collect(3))

    assert asyncio.run(run()) == [[0], [0, 1, 2]]


def test_batches_by_the_size_of_their_items() -> None:
    batches: list[list[str]] = []

    @serve.batch(
        max_batch_size=5, batch_wait_timeout_s=0.02, batch_size_fn=lambda items: sum(map(len, items))
    )
    async def lengths(words: list[str]) -> list[int]:
        batches.append(words)
        return [len(word) for word in words]

    async def run() -> Any:
        return await asyncio.gather(
            *(lengths(word) for word in ("aa", "bbb", "cccc", "dddddd")), return_exceptions=True
        )

    *fine, too_large = asyncio.run(run())
    assert fine == [2, 3, 4]
    assert isinstance(too_large, RuntimeError)
    assert batches == [["aa", "bbb"], ["cccc"]]


def test_a_wrong_number_of_results_is_an_error() -> None:
    @serve.batch(batch_wait_timeout_s=0)
    async def wrong(xs: list[int]) -> list[int]:
        return [*xs, 1]

    with pytest.raises(RayServeException, match="batch size"):
        asyncio.run(wrong(1))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_batch_size": 0}, ValueError),
        ({"max_batch_size": "a"}, TypeError),
        ({"batch_wait_timeout_s": -1}, ValueError),
        ({"max_concurrent_batches": 0}, TypeError),
    ],
)
def test_options_are_checked(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        serve.batch(**options)


def test_only_coroutines_are_batched() -> None:
    with pytest.raises(TypeError, match="async def"):
        serve.batch(lambda xs: xs)
