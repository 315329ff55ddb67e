from __future__ import annotations

import asyncio
import queue
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.api import ray, submodule

if TYPE_CHECKING:
    from collections.abc import Iterator

module = submodule("util.queue")
Queue, Empty, Full = module.Queue, module.Empty, module.Full


@pytest.fixture
def make() -> Iterator[Any]:
    made = []

    def make_queue(*args: Any, **kwargs: Any) -> Any:
        made.append(Queue(*args, **kwargs))
        return made[-1]

    yield make_queue
    for each in made:
        each.shutdown(force=True)


def test_items_come_out_in_the_order_they_went_in(make: Any) -> None:
    q = make()
    for value in (1, "two", [3]):
        q.put(value)
    assert [q.get() for _ in range(3)] == [1, "two", [3]]


def test_its_size(make: Any) -> None:
    q = make(2)
    assert (q.size(), q.qsize(), len(q), q.empty(), q.full(), q.maxsize) == (0, 0, 0, True, False, 2)
    q.put(None)
    q.put(None)
    assert (q.size(), q.qsize(), len(q), q.empty(), q.full()) == (2, 2, 2, False, True)
    assert not make().full()
    assert not make(-1).full()


def test_errors_are_the_standard_library_s_too() -> None:
    assert issubclass(Empty, queue.Empty)
    assert issubclass(Full, queue.Full)


@pytest.mark.parametrize("how", [{"block": False}, {"timeout": 0}, {"timeout": 0.01}])
def test_full_and_empty(make: Any, how: dict[str, Any], session: str) -> None:
    if session == "ray" and how == {"timeout": 0}:
        pytest.skip("Ray's get(timeout=0) finds nothing even where there is an item")
    q = make(1)
    with pytest.raises(Empty):
        q.get(**how)
    q.put(1)
    with pytest.raises(Full):
        q.put(2, **how)
    assert q.get(**how) == 1
    assert q.empty()


def test_after_a_wait_the_error_is_one_of_the_queue_s_actor(make: Any) -> None:
    q = make(1)
    with pytest.raises(Empty) as empty:
        q.get(timeout=0.01)
    assert isinstance(empty.value, ray.exceptions.RayTaskError)
    q.put(1)
    with pytest.raises(Full) as full:
        q.put(2, timeout=0.01)
    assert isinstance(full.value, ray.exceptions.RayTaskError)


def test_nowait(make: Any) -> None:
    q = make(1)
    with pytest.raises(Empty):
        q.get_nowait()
    q.put_nowait(1)
    with pytest.raises(Full):
        q.put_nowait(2)
    assert q.get_nowait() == 1


def test_negative_timeouts_are_refused(make: Any) -> None:
    q = make(1)
    with pytest.raises(ValueError, match="non-negative"):
        q.put(1, timeout=-1)
    with pytest.raises(ValueError, match="non-negative"):
        q.get(timeout=-1)
    assert q.empty()


def test_batches_are_all_or_nothing(make: Any) -> None:
    q = make(3)
    q.put_nowait_batch((1, 2))
    with pytest.raises(Full, match="Cannot add 2 items to queue of size 2 and maxsize 3"):
        q.put_nowait_batch([3, 4])
    assert q.size() == 2
    with pytest.raises(Empty, match="Cannot get 3 items from queue of size 2"):
        q.get_nowait_batch(3)
    assert q.get_nowait_batch(2) == [1, 2]
    assert q.get_nowait_batch(0) == []


def test_batches_refuse_what_they_cannot_take(make: Any) -> None:
    q = make()
    with pytest.raises(TypeError, match="items"):
        q.put_nowait_batch(5)
    with pytest.raises(TypeError, match="num_items"):
        q.get_nowait_batch("a")
    with pytest.raises(ValueError, match="num_items"):
        q.get_nowait_batch(-1)


def test_async_methods(make: Any) -> None:
    q = make(1)

    async def use() -> None:
        await q.put_async(1)
        with pytest.raises(Full):
            await q.put_async(2, block=False)
        with pytest.raises(Full):
            await q.put_async(2, timeout=0.01)
        with pytest.raises(ValueError, match="non-negative"):
            await q.get_async(timeout=-1)
        assert await q.get_async() == 1
        with pytest.raises(Empty):
            await q.get_async(block=False)
        with pytest.raises(Empty):
            await q.get_async(timeout=0.01)

    asyncio.run(use())


def test_get_waits_for_a_put_of_another_process(make: Any) -> None:
    q = make()

    @ray.remote
    def produce(target: Any) -> None:
        for value in range(5):
            target.put(value)

    done = produce.remote(q)
    assert [q.get() for _ in range(5)] == list(range(5))
    ray.get(done)


def test_put_waits_for_room(make: Any) -> None:
    q = make(2)

    @ray.remote
    def produce(target: Any) -> str:
        for value in range(20):
            target.put(value)
        return "done"

    done = produce.remote(q)
    assert [q.get() for _ in range(20)] == list(range(20))
    assert ray.get(done) == "done"


def test_many_producers_and_consumers_lose_and_repeat_nothing(make: Any) -> None:
    q = make(5)

    @ray.remote(num_cpus=0)
    def produce(target: Any, start: int) -> None:
        for value in range(start, start + 20):
            target.put(value)

    @ray.remote(num_cpus=0)
    def consume(target: Any, count: int) -> list[int]:
        return [target.get() for _ in range(count)]

    consumers = [consume.remote(q, 20) for _ in range(2)]
    ray.get([produce.remote(q, start) for start in (0, 100)])
    taken = sorted(value for taken_by_one in ray.get(consumers) for value in taken_by_one)
    assert taken == [*range(20), *range(100, 120)]


def test_its_actor_takes_options(make: Any) -> None:
    q = make(actor_options={"name": "held", "num_cpus": 0})
    assert ray.get_actor("held") == q.actor


def test_shutdown_ends_the_actor(make: Any) -> None:
    q = make()
    actor = q.actor
    q.shutdown()
    assert q.actor is None
    q.shutdown()
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(actor.qsize.remote())
    with pytest.raises((RuntimeError, AttributeError)):
        q.put(1)


def test_shutdown_by_force_ends_waiting_gets(make: Any, session: str) -> None:
    if session == "inline":
        pytest.skip("a get that waits in another thread needs an engine with processes")
    q = make()
    waiting = q.actor.get.remote(None)
    q.shutdown(force=True)
    with pytest.raises(ray.exceptions.RayActorError):
        ray.get(waiting)


def test_blocked_gets_do_not_keep_a_put_out(make: Any, session: str) -> None:
    if session != "local":
        pytest.skip("needs processes; in Ray 1000 blocked gets block every put")
    q = make()
    waiting = [q.actor.get.remote(None) for _ in range(1100)]
    q.put_nowait_batch(range(1100))
    assert sorted(item for items in ray.get(waiting) for item in items) == list(range(1100))


def test_a_cancelled_get_takes_no_item(make: Any, session: str) -> None:
    if session == "ray":
        pytest.skip("in Ray the item is lost")
    q = make()

    async def use() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(q.get_async(), 0.05)

    asyncio.run(use())
    q.put("kept")
    assert q.get(timeout=10) == "kept"


def test_it_serves_threads(make: Any, session: str) -> None:
    if session == "inline":
        pytest.skip("the inline engine runs in one thread")
    q = make(1)
    taken: list[int] = []
    thread = threading.Thread(target=lambda: taken.extend(q.get() for _ in range(10)))
    thread.start()
    for value in range(10):
        q.put(value)
    thread.join()
    assert taken == list(range(10))
