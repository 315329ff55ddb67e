"""Generators: streams of refs from tasks and actor methods, consumed while they run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .api import ray
from .helpers import PATIENCE, Gate, Tally, drain, get, wait_until
from .support import blocks_its_thread, differs_from_ray

#: ``"dynamic"`` is the older way, and says so with a deprecation warning.
deprecated = pytest.mark.filterwarnings("ignore:.*dynamic")


@ray.remote
def count(n: int) -> Iterator[int]:
    for i in range(n):  # noqa: UP028 - Ray cannot stream "yield from" a plain iterable
        yield i


@ray.remote
def breaks_after(n: int) -> Iterator[int]:
    for i in range(n):  # noqa: UP028
        yield i
    raise ValueError("broke")


@ray.remote
def gated(gate: Any) -> Iterator[str]:
    yield "before"
    ray.get(gate.wait.remote())
    yield "after"


# Streaming


def test_a_generator_function_gives_a_stream_of_refs() -> None:
    stream = count.remote(3)
    assert isinstance(stream, ray.ObjectRefGenerator)
    refs = list(stream)
    assert all(isinstance(ref, ray.ObjectRef) for ref in refs)
    assert get(refs) == [0, 1, 2]


def test_streaming_may_be_asked_for_by_name() -> None:
    assert drain(count.options(num_returns="streaming").remote(3)) == [0, 1, 2]


@differs_from_ray("streaming calls send() on the inner iterator, which only generators have")
def test_yield_from_a_plain_iterable() -> None:
    @ray.remote
    def delegates() -> Iterator[int]:
        yield from range(3)

    assert drain(delegates.remote()) == [0, 1, 2]


def test_yield_from_another_generator() -> None:
    def inner() -> Iterator[int]:
        yield 0
        yield 1

    @ray.remote
    def delegates() -> Iterator[int]:
        yield from inner()
        yield 2

    assert drain(delegates.remote()) == [0, 1, 2]


def test_next_gives_one_ref_at_a_time() -> None:
    stream = count.remote(2)
    assert get(next(stream)) == 0
    assert get(next(stream)) == 1
    with pytest.raises(StopIteration):
        next(stream)


def test_a_finished_stream_stays_finished() -> None:
    stream = count.remote(1)
    assert drain(stream) == [0]
    assert list(stream) == []


def test_a_stream_is_its_own_iterator() -> None:
    stream = count.remote(1)
    assert iter(stream) is stream
    assert drain(stream) == [0]


def test_an_empty_stream() -> None:
    assert list(count.remote(0)) == []


def test_values_arrive_while_the_task_runs() -> None:
    gate = Gate.remote()
    stream = gated.remote(gate)
    assert get(next(stream)) == "before"
    get(gate.arrived.remote())
    gate.open.remote()
    assert drain(stream) == ["after"]


def test_a_long_stream_keeps_its_order() -> None:
    assert drain(count.remote(500)) == list(range(500))


def test_large_values_in_a_stream() -> None:
    @ray.remote
    def blocks() -> Iterator[bytes]:
        for i in range(4):
            yield bytes([i]) * 1_000_000

    assert [(len(block), block[0]) for block in drain(blocks.remote())] == [(1_000_000, i) for i in range(4)]


def test_refs_of_a_stream_are_refs_like_others() -> None:
    @ray.remote
    def double(x: int) -> int:
        return 2 * x

    assert get([double.remote(ref) for ref in count.remote(3)]) == [0, 2, 4]


def test_refs_outlive_the_stream() -> None:
    stream = count.remote(3)
    refs = list(stream)
    del stream
    assert get(refs) == [0, 1, 2]


def test_a_stream_in_a_task() -> None:
    @ray.remote
    def total() -> int:
        return sum(ray.get(ref) for ref in count.remote(4))

    assert get(total.remote()) == 6


def test_generators_that_yield_refs() -> None:
    @ray.remote
    def yields_refs() -> Iterator[Any]:
        yield ray.put("inner")

    [ref] = list(yields_refs.remote())
    inner = get(ref)
    assert isinstance(inner, ray.ObjectRef) and get(inner) == "inner"


def test_an_error_mid_stream_comes_after_the_values_before_it() -> None:
    stream = breaks_after.remote(2)
    assert get(next(stream)) == 0
    assert get(next(stream)) == 1
    broken = next(stream)
    with pytest.raises(ValueError, match="broke"):
        get(broken)
    with pytest.raises(StopIteration):
        next(stream)


def test_an_error_before_the_first_value() -> None:
    refs = list(breaks_after.remote(0))
    assert len(refs) == 1
    with pytest.raises(ValueError, match="broke"):
        get(refs[0])


@deprecated
@pytest.mark.parametrize("kind", ["streaming", "dynamic"])
def test_streaming_needs_a_generator_function(kind: str) -> None:
    """Refused when the function or method is decorated or its options given, before any call."""

    def plain() -> int:
        return 1

    @ray.remote
    class Actor:
        def plain(self) -> int:
            return 1

    with pytest.raises(ValueError, match=f"{kind}.*generator function"):
        ray.remote(num_returns=kind)(plain)
    with pytest.raises(ValueError, match=f"{kind}.*generator function"):
        ray.remote(plain).options(num_returns=kind)
    with pytest.raises(ValueError, match=f"{kind}.*generator function"):
        Actor.remote().plain.options(num_returns=kind).remote()


def test_an_unpicklable_value_mid_stream_is_an_error_there() -> None:
    import threading

    @ray.remote
    def yields_lock() -> Iterator[Any]:
        yield 1
        yield threading.Lock()

    stream = yields_lock.remote()
    assert get(next(stream)) == 1
    with pytest.raises(ray.exceptions.RayError):
        get(next(stream))


def test_completed_is_ready_when_the_task_is_over() -> None:
    gate = Gate.remote()
    stream = gated.remote(gate)
    assert get(next(stream)) == "before"
    done = stream.completed()
    assert isinstance(done, ray.ObjectRef)
    assert ray.wait([done], timeout=0.1) == ([], [done])
    gate.open.remote()
    assert drain(stream) == ["after"]
    assert ray.wait([done], timeout=PATIENCE) == ([done], [])


def test_completed_gives_none_even_if_the_stream_broke() -> None:
    """An error in the middle is a value of the stream: it is not told twice."""
    assert get(count.remote(1).completed()) is None
    stream = breaks_after.remote(1)
    assert get(stream.completed()) is None
    assert len(list(stream)) == 2


def test_next_ready_tells_whether_next_would_wait() -> None:
    gate = Gate.remote()
    stream = gated.remote(gate)
    wait_until(stream.next_ready, "the first value")
    assert get(next(stream)) == "before"
    get(gate.arrived.remote())
    assert stream.next_ready() is False
    gate.open.remote()
    wait_until(stream.next_ready, "the second value")
    assert drain(stream) == ["after"]
    assert stream.next_ready() is False


def test_is_finished_after_the_last_value() -> None:
    stream = count.remote(1)
    assert stream.is_finished() is False
    assert drain(stream) == [0]
    assert stream.is_finished() is True


def test_wait_takes_streams() -> None:
    gate = Gate.remote()
    stream, ready = gated.remote(gate), count.remote(1)
    get(next(stream))
    assert ray.wait([stream, ready], timeout=PATIENCE) == ([ready], [stream])
    gate.open.remote()
    assert ray.wait([stream], timeout=PATIENCE) == ([stream], [])
    assert drain(stream) == ["after"]


def test_get_of_a_stream_gives_the_stream() -> None:
    stream = count.remote(1)
    assert ray.get(stream) is stream
    with pytest.raises(TypeError, match="ObjectRef"):
        ray.get([stream])


def test_streams_stay_in_their_process() -> None:
    @ray.remote
    def take(stream: Any) -> list[Any]:
        return list(stream)

    with pytest.raises(TypeError, match="generator"):
        take.remote(count.remote(1))
    with pytest.raises(TypeError, match="generator"):
        ray.put(count.remote(1))


def test_streams_do_not_take_values() -> None:
    stream = count.remote(1)
    calls: list[Any] = [
        lambda: stream.send(None),
        lambda: stream.throw(ValueError("in")),
        lambda: stream.close(),
    ]
    for call in calls:
        with pytest.raises(NotImplementedError):
            call()
    assert drain(stream) == [0]


def test_cancelling_a_stream_ends_it() -> None:
    gate = Gate.remote()
    stream = gated.remote(gate)
    assert get(next(stream)) == "before"
    get(gate.arrived.remote())
    ray.cancel(stream)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        drain(stream)
    gate.open.remote()


def test_a_dropped_stream_does_not_disturb_the_session() -> None:
    stream = count.remote(100)
    get(next(stream))
    del stream
    assert drain(count.remote(2)) == [0, 1]


def test_retries_do_not_repeat_values(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "runs")

    @ray.remote(retry_exceptions=True, max_retries=1)
    def stumbles() -> Iterator[int]:
        yield 1
        if tally.add() == 1:
            raise ValueError("once")
        yield 2

    assert drain(stumbles.remote()) == [1, 2]


# Back-pressure


@blocks_its_thread
def test_backpressure_holds_the_task_back(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "yielded")

    @ray.remote(_generator_backpressure_num_objects=2)
    def eager() -> Iterator[int]:
        for i in range(6):
            tally.add()
            yield i

    stream = eager.remote()
    wait_until(lambda: tally.count >= 2, "the first two values")
    ready, _ = ray.wait([stream.completed()], timeout=0.3)
    assert not ready and tally.count <= 3
    assert drain(stream) == list(range(6))


def test_backpressure_counts_what_was_taken_before_a_retry(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "runs")

    @ray.remote(_generator_backpressure_num_objects=2, retry_exceptions=True, max_retries=1)
    def stumbles() -> Iterator[int]:
        run = tally.add()
        for i in range(8):
            if i == 5 and run == 1:
                raise ValueError("once")
            yield i

    assert drain(stumbles.remote()) == list(range(8))


def test_backpressure_of_one_goes_step_by_step(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "yielded")

    @ray.remote(_generator_backpressure_num_objects=1)
    def eager() -> Iterator[int]:
        for i in range(4):
            tally.add()
            yield i

    seen = []
    for ref in eager.remote():
        seen.append(get(ref))
        assert tally.count <= len(seen) + 2
    assert seen == [0, 1, 2, 3]


# Asynchronous consumption


def test_async_iteration() -> None:
    async def main() -> list[int]:
        return [await ref async for ref in count.remote(3)]

    assert asyncio.run(main()) == [0, 1, 2]


def test_async_iteration_while_the_task_runs() -> None:
    gate = Gate.remote()

    async def main() -> list[str]:
        stream = gated.remote(gate)
        seen = [await (await anext(stream))]
        await gate.arrived.remote()
        gate.open.remote()
        return seen + [await ref async for ref in stream]

    assert asyncio.run(main()) == ["before", "after"]


def test_async_iteration_of_an_error() -> None:
    async def main() -> list[int]:
        seen = []
        stream = breaks_after.remote(1)
        with pytest.raises(ValueError, match="broke"):
            async for ref in stream:
                seen.append(await ref)
        return seen

    assert asyncio.run(main()) == [0]


def test_two_streams_interleave_in_one_loop() -> None:
    async def consume(stream: Any) -> int:
        return sum([await ref async for ref in stream])

    async def main() -> Any:
        return await asyncio.gather(consume(count.remote(4)), consume(count.remote(5)))

    assert list(asyncio.run(main())) == [6, 10]


# Dynamic


@deprecated
def test_dynamic_gives_one_ref_to_a_sequence_of_refs() -> None:
    ref = count.options(num_returns="dynamic").remote(3)
    assert isinstance(ref, ray.ObjectRef)
    refs = list(get(ref))
    assert get(refs) == [0, 1, 2]


@deprecated
def test_dynamic_results_can_be_passed_to_a_task() -> None:
    @ray.remote
    def total(refs: Any) -> int:
        return sum(ray.get(list(refs)))

    assert get(total.remote(count.options(num_returns="dynamic").remote(4))) == 6


@deprecated
def test_a_dynamic_error_is_the_last_ref() -> None:
    refs = list(get(breaks_after.options(num_returns="dynamic").remote(2)))
    assert get(refs[:2]) == [0, 1]
    with pytest.raises(ValueError, match="broke"):
        get(refs[2])


@deprecated
def test_dynamic_results_have_a_length_and_can_be_read_once() -> None:
    refs = get(count.options(num_returns="dynamic").remote(3))
    assert len(refs) == 3
    assert len(list(refs)) == 3
    assert list(refs) == []


# A fixed number of results


def test_a_generator_with_a_fixed_number_of_results() -> None:
    first, second = count.options(num_returns=2).remote(2)
    assert get([first, second]) == [0, 1]


def test_a_generator_that_yields_too_few_fails_the_refs_it_left_empty() -> None:
    refs = count.options(num_returns=3).remote(2)
    assert get(refs[:2]) == [0, 1]
    with pytest.raises(ValueError, match="num_returns=3"):
        get(refs[2])


def test_a_generator_that_yields_too_many() -> None:
    refs = count.options(num_returns=2).remote(3)
    assert get(refs) == [0, 1]


def test_a_fixed_number_of_results_and_an_error_midway() -> None:
    first, second = breaks_after.options(num_returns=2).remote(1)
    assert get(first) == 0
    with pytest.raises(ValueError, match="broke"):
        get(second)


def test_a_generator_with_one_result_gives_its_first_value() -> None:
    assert get(count.options(num_returns=1).remote(2)) == 0


def test_backpressure_of_zero_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="_generator_backpressure_num_objects"):
        count.options(_generator_backpressure_num_objects=0)
