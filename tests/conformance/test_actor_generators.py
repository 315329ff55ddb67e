"""Generator methods of actors, plain and asynchronous."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from .api import ray
from .helpers import Gate, drain, get


@ray.remote
class Streamer:
    def __init__(self) -> None:
        self.calls = 0

    def numbers(self, n: int) -> Iterator[int]:
        for i in range(n):
            self.calls += 1
            yield i

    def breaks(self) -> Iterator[int]:
        yield 1
        raise KeyError("actor broke")

    def called(self) -> int:
        return self.calls


@ray.remote
class AsyncStreamer:
    async def numbers(self, n: int) -> AsyncIterator[int]:
        for i in range(n):
            await asyncio.sleep(0)
            yield i

    async def breaks(self) -> AsyncIterator[int]:
        yield 1
        raise KeyError("async broke")

    async def gated(self, gate: Any) -> AsyncIterator[str]:
        yield "before"
        await gate.wait.remote()
        yield "after"

    async def ping(self) -> str:
        return "pong"


def test_an_actors_generator_method() -> None:
    actor = Streamer.remote()
    assert drain(actor.numbers.remote(3)) == [0, 1, 2]
    assert get(actor.called.remote()) == 3


def test_an_actors_generator_method_by_option() -> None:
    actor = Streamer.remote()
    assert drain(actor.numbers.options(num_returns="streaming").remote(2)) == [0, 1]


def test_an_error_in_an_actors_generator_method() -> None:
    actor = Streamer.remote()
    stream = actor.breaks.remote()
    assert get(next(stream)) == 1
    with pytest.raises(KeyError, match="actor broke"):
        get(next(stream))
    assert drain(actor.numbers.remote(1)) == [0], "the actor lives on"


def test_an_async_generator_method() -> None:
    assert drain(AsyncStreamer.remote().numbers.remote(3)) == [0, 1, 2]


def test_an_error_in_an_async_generator_method() -> None:
    stream = AsyncStreamer.remote().breaks.remote()
    assert get(next(stream)) == 1
    with pytest.raises(KeyError, match="async broke"):
        get(next(stream))


def test_an_async_generator_method_leaves_the_actor_free() -> None:
    gate, actor = Gate.remote(), AsyncStreamer.remote()
    stream = actor.gated.remote(gate)
    assert get(next(stream)) == "before"
    get(gate.arrived.remote())
    assert get(actor.ping.remote()) == "pong"
    assert drain(actor.numbers.remote(2)) == [0, 1]
    gate.open.remote()
    assert drain(stream) == ["after"]


def test_method_declares_streaming() -> None:
    @ray.remote
    class Declared:
        @ray.method(num_returns="streaming")
        def numbers(self) -> Iterator[int]:
            yield 0
            yield 1
            yield 2

    assert drain(Declared.remote().numbers.remote()) == [0, 1, 2]


@pytest.mark.filterwarnings("ignore:.*dynamic")
def test_dynamic_actor_methods() -> None:
    refs = get(Streamer.remote().numbers.options(num_returns="dynamic").remote(2))
    assert get(list(refs)) == [0, 1]


def test_an_actors_generator_method_with_a_fixed_number_of_results() -> None:
    first, second = Streamer.remote().numbers.options(num_returns=2).remote(2)
    assert get([first, second]) == [0, 1]
