"""Utilities: actor pools, queues shared between tasks, and iterating over results as they come."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from .api import ray, submodule
from .helpers import PATIENCE, Gate, get

util = submodule("util")
queue = submodule("util.queue")


@ray.remote
class Worker:
    def double(self, x: int) -> int:
        return 2 * x

    def pass_on(self, ref_or_value: Any) -> Any:
        return ref_or_value

    def fail(self, x: int) -> None:
        raise ValueError(f"worker failed at {x}")

    def hold(self, gate: Any, x: int) -> int:
        ray.get(gate.wait.remote(x))
        return x


@ray.remote
def same(x: Any) -> Any:
    return x


@ray.remote
def after(gate: Any, x: Any) -> Any:
    ray.get(gate.wait.remote(x))
    return x


def pool_of(count: int) -> Any:
    return util.ActorPool([Worker.remote() for _ in range(count)])


# ActorPool


def test_map_keeps_the_order() -> None:
    pool = pool_of(2)
    assert list(pool.map(lambda actor, x: actor.double.remote(x), range(6))) == [0, 2, 4, 6, 8, 10]


def test_map_unordered_gives_everything() -> None:
    pool = pool_of(2)
    assert sorted(pool.map_unordered(lambda actor, x: actor.double.remote(x), range(6))) == [
        0,
        2,
        4,
        6,
        8,
        10,
    ]


def test_map_over_an_iterator() -> None:
    values = itertools.islice(itertools.count(), 3)
    assert list(pool_of(1).map(lambda actor, x: actor.double.remote(x), values)) == [0, 2, 4]


def test_map_over_nothing() -> None:
    assert list(pool_of(1).map(lambda actor, x: actor.double.remote(x), [])) == []


def test_submit_and_get_next() -> None:
    pool = pool_of(2)
    for x in range(3):
        pool.submit(lambda actor, x: actor.double.remote(x), x)
    assert [pool.get_next(timeout=PATIENCE) for _ in range(3)] == [0, 2, 4]
    assert pool.has_next() is False


def test_get_next_unordered_gives_the_first_that_is_done() -> None:
    gate, pool = Gate.remote(), pool_of(2)
    pool.submit(lambda actor, x: actor.hold.remote(gate, x), 1)
    pool.submit(lambda actor, x: actor.double.remote(x), 2)
    assert pool.get_next_unordered(timeout=PATIENCE) == 4
    gate.open.remote()
    assert pool.get_next_unordered(timeout=PATIENCE) == 1


def test_get_next_times_out() -> None:
    gate, pool = Gate.remote(), pool_of(1)
    pool.submit(lambda actor, x: actor.hold.remote(gate, x), 1)
    with pytest.raises(TimeoutError):
        pool.get_next(timeout=0.1)
    with pytest.raises(TimeoutError):
        pool.get_next_unordered(timeout=0.1)
    gate.open.remote()
    assert pool.get_next(timeout=PATIENCE) == 1


def test_get_next_with_nothing_submitted_is_a_stop_iteration() -> None:
    pool = pool_of(1)
    with pytest.raises(StopIteration):
        pool.get_next()
    with pytest.raises(StopIteration):
        pool.get_next_unordered()


def test_has_next_and_has_free() -> None:
    pool = pool_of(1)
    assert pool.has_free() is True and pool.has_next() is False
    pool.submit(lambda actor, x: actor.double.remote(x), 1)
    assert pool.has_free() is False and pool.has_next() is True
    pool.get_next(timeout=PATIENCE)
    assert pool.has_free() is True and pool.has_next() is False


def test_more_work_than_actors_is_queued() -> None:
    pool = pool_of(1)
    for x in range(5):
        pool.submit(lambda actor, x: actor.double.remote(x), x)
    assert [pool.get_next(timeout=PATIENCE) for _ in range(5)] == [0, 2, 4, 6, 8]


def test_push_and_pop_idle() -> None:
    pool = pool_of(1)
    actor = pool.pop_idle()
    assert actor is not None and pool.pop_idle() is None and not pool.has_free()
    pool.push(actor)
    assert pool.has_free()
    with pytest.raises(ValueError, match="(?i)pool"):
        pool.push(actor)


def test_an_error_in_the_pool_is_raised_and_its_actor_is_free_again() -> None:
    pool = pool_of(1)
    pool.submit(lambda actor, x: actor.fail.remote(x), 3)
    with pytest.raises(ValueError, match="worker failed at 3"):
        pool.get_next(timeout=PATIENCE)
    pool.submit(lambda actor, x: actor.double.remote(x), 3)
    assert pool.get_next(timeout=PATIENCE) == 6


# as_completed and map_unordered


def test_as_completed_gives_results_as_they_come() -> None:
    """In chunks of ``chunk_size``, ten unless told: only then is a result given before the others are there."""
    gate = Gate.remote()
    refs = [after.remote(gate, "late"), same.remote("early")]
    results = util.as_completed(refs, chunk_size=1)
    assert next(results) == "early"
    gate.open.remote()
    assert list(results) == ["late"]


def test_as_completed_in_chunks() -> None:
    refs = [same.remote(i) for i in range(10)]
    assert sorted(util.as_completed(refs, chunk_size=3)) == list(range(10))


def test_as_completed_can_give_refs() -> None:
    refs = [same.remote(i) for i in range(4)]
    assert set(util.as_completed(refs, yield_obj_refs=True)) == set(refs)


def test_map_unordered_with_a_task() -> None:
    @ray.remote
    def square(x: int) -> int:
        return x * x

    assert sorted(util.map_unordered(square, range(10), backpressure_size=4, chunk_size=2)) == [
        i * i for i in range(10)
    ]


# Queue


def test_put_and_get_in_order() -> None:
    q = queue.Queue()
    for i in range(5):
        q.put(i)
    assert [q.get(timeout=PATIENCE) for _ in range(5)] == [0, 1, 2, 3, 4]
    q.shutdown()


def test_size_empty_and_full() -> None:
    q = queue.Queue(maxsize=2)
    assert (q.qsize(), q.size(), len(q), q.empty(), q.full()) == (0, 0, 0, True, False)
    q.put(1)
    q.put(2)
    assert (q.qsize(), q.empty(), q.full()) == (2, False, True)
    q.shutdown()


def test_get_of_an_empty_queue() -> None:
    q = queue.Queue()
    with pytest.raises(queue.Empty):
        q.get(block=False)
    with pytest.raises(queue.Empty):
        q.get_nowait()
    with pytest.raises(queue.Empty):
        q.get(timeout=0.1)
    q.shutdown()


def test_put_to_a_full_queue() -> None:
    q = queue.Queue(maxsize=1)
    q.put(1)
    with pytest.raises(queue.Full):
        q.put(2, block=False)
    with pytest.raises(queue.Full):
        q.put_nowait(2)
    with pytest.raises(queue.Full):
        q.put(2, timeout=0.1)
    assert q.get() == 1
    q.shutdown()


def test_negative_timeouts_are_value_errors() -> None:
    q = queue.Queue()
    with pytest.raises(ValueError, match="timeout"):
        q.get(timeout=-1)
    with pytest.raises(ValueError, match="timeout"):
        q.put(1, timeout=-1)
    q.shutdown()


def test_batches() -> None:
    q = queue.Queue(maxsize=4)
    q.put_nowait_batch([1, 2, 3])
    assert q.get_nowait_batch(2) == [1, 2]
    with pytest.raises(queue.Empty):
        q.get_nowait_batch(2)
    with pytest.raises(queue.Full):
        q.put_nowait_batch([1, 2, 3, 4])
    q.shutdown()


def test_a_batch_must_be_iterable_and_its_size_a_number() -> None:
    q = queue.Queue()
    with pytest.raises(TypeError):
        q.put_nowait_batch(1)
    with pytest.raises((TypeError, ValueError)):
        q.get_nowait_batch(-1)
    q.shutdown()


def test_a_blocked_get_is_woken_by_a_put() -> None:
    q = queue.Queue()

    @ray.remote
    def taker(q: Any) -> Any:
        return q.get(timeout=PATIENCE)

    ref = taker.remote(q)
    q.put("for the taker")
    assert get(ref) == "for the taker"
    q.shutdown()


def test_a_blocked_put_is_woken_by_a_get() -> None:
    q = queue.Queue(maxsize=1)
    q.put("first")

    @ray.remote
    def giver(q: Any) -> str:
        q.put("second", timeout=PATIENCE)
        return "gave"

    ref = giver.remote(q)
    assert q.get(timeout=PATIENCE) == "first"
    assert get(ref) == "gave"
    assert q.get(timeout=PATIENCE) == "second"
    q.shutdown()


def test_producers_and_consumers() -> None:
    q = queue.Queue(maxsize=4)

    @ray.remote(num_cpus=0)
    def produce(q: Any, n: int) -> None:
        for i in range(n):
            q.put(i)

    @ray.remote(num_cpus=0)
    def consume(q: Any, n: int) -> int:
        return sum(q.get(timeout=PATIENCE) for _ in range(n))

    produced = [produce.remote(q, 10) for _ in range(2)]
    consumed = [consume.remote(q, 10) for _ in range(2)]
    assert sum(get(consumed)) == 2 * sum(range(10))
    get(produced)
    q.shutdown()


def test_async_put_and_get() -> None:
    q = queue.Queue(maxsize=2)

    async def main() -> list[int]:
        await q.put_async(1)
        await q.put_async(2)
        with pytest.raises(queue.Full):
            await q.put_async(3, block=False)
        values = [await q.get_async(), await q.get_async(timeout=PATIENCE)]
        with pytest.raises(queue.Empty):
            await q.get_async(block=False)
        with pytest.raises(queue.Empty):
            await q.get_async(timeout=0.1)
        return values

    assert asyncio.run(main()) == [1, 2]
    q.shutdown()


def test_async_get_waits_for_a_put() -> None:
    q = queue.Queue()

    async def main() -> Any:
        taker = asyncio.ensure_future(q.get_async())
        await asyncio.sleep(0)
        await q.put_async("later")
        return await asyncio.wait_for(taker, PATIENCE)

    assert asyncio.run(main()) == "later"
    q.shutdown()


def test_empty_and_full_are_those_of_the_standard_library() -> None:
    import queue as standard

    assert issubclass(queue.Empty, standard.Empty)
    assert issubclass(queue.Full, standard.Full)


def test_a_queue_holds_any_value() -> None:
    q = queue.Queue()
    values: list[Any] = [None, [1], {"a": (1, 2)}, b"bytes"]
    for value in values:
        q.put(value)
    assert [q.get(timeout=PATIENCE) for _ in values] == values
    q.shutdown()


def test_actor_options_of_a_queue() -> None:
    q = queue.Queue(actor_options={"num_cpus": 0, "name": "the queue of test_queue_pool"})
    q.put(1)
    assert ray.get_actor("the queue of test_queue_pool") is not None
    assert q.get(timeout=PATIENCE) == 1
    q.shutdown()


def test_shutdown_ends_the_queue() -> None:
    q = queue.Queue()
    q.put(1)
    q.shutdown()
    with pytest.raises((ray.exceptions.RayActorError, AttributeError, RuntimeError)):
        q.put(2)


def test_a_queue_passed_through_several_tasks() -> None:
    q = queue.Queue()

    @ray.remote
    def inner(q: Any) -> None:
        q.put("inner")

    @ray.remote
    def outer(box: list[Any]) -> None:
        ray.get(inner.remote(box[0]))
        box[0].put("outer")

    get(outer.remote([q]))
    assert [q.get(timeout=PATIENCE), q.get(timeout=PATIENCE)] == ["inner", "outer"]
    q.shutdown()
