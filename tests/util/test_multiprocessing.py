"""A pool that stands in for the standard one."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.api import ray, submodule
from tests.support import wait_until

pools = submodule("util.multiprocessing")
_settings: dict[str, Any] = {}


def square(x: int) -> int:
    return x * x


def add(a: int, b: int = 10) -> int:
    return a + b


def not_three(x: int) -> int:
    if x == 3:
        raise ValueError("three")
    return x


def configure(name: str, value: int) -> None:
    _settings[name] = value


def setting(name: str) -> Any:
    return _settings.get(name)


def fail(message: str) -> None:
    raise RuntimeError(message)


def meet(folder: Path, processes: int) -> int:
    """This process, once so many have come."""
    (folder / str(os.getpid())).touch()
    wait_until(lambda: len(list(folder.iterdir())) >= processes, what="every process works")
    return os.getpid()


def block(seconds: float) -> None:
    threading.Event().wait(seconds)


@pytest.fixture
def pool() -> Iterator[Any]:
    with pools.Pool(2) as made:
        yield made


def test_map_keeps_the_order(pool: Any) -> None:
    assert pool.map(square, range(50)) == [x * x for x in range(50)]
    assert pool.map(square, iter(range(7)), chunksize=3) == [x * x for x in range(7)]
    assert pool.map(square, []) == []
    assert pool.map(lambda x: x + 1, [1]) == [2]


def test_starmap(pool: Any) -> None:
    assert pool.starmap(add, [(1, 2), (3,)]) == [3, 13]
    assert pool.starmap_async(add, [(1, 2)] * 9, chunksize=2).get() == [3] * 9


def test_apply(pool: Any) -> None:
    assert pool.apply(add, (1,), {"b": 2}) == 3
    assert pool.apply(add, args=[1, 2]) == 3
    assert pool.apply(dict, kwargs={"a": 1}) == {"a": 1}
    results = [pool.apply_async(square, (x,)) for x in range(10)]
    assert [result.get(timeout=20) for result in results] == [x * x for x in range(10)]


def test_errors_are_raised_as_they_were(pool: Any) -> None:
    with pytest.raises(ValueError, match="three"):
        pool.map(not_three, range(5))
    with pytest.raises(ValueError, match="three"):
        pool.apply(not_three, (3,))
    result = pool.map_async(not_three, range(5))
    result.wait(20)
    assert result.ready()
    assert not result.successful()
    assert pool.map(not_three, [1, 2]) == [1, 2]


def test_a_result_that_is_not_there_yet(pool: Any) -> None:
    result = pool.map_async(square, range(4))
    result.wait()
    assert result.ready()
    assert result.successful()
    assert result.get() == result.get() == [0, 1, 4, 9]


def test_timeouts(pool: Any, session: str) -> None:
    if session == "inline":
        pytest.skip("a call that blocks outside the API blocks everything in one process")
    result = pool.apply_async(block, (30,))
    assert not result.ready()
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    result.wait(0.01)
    with pytest.raises(multiprocessing.TimeoutError):
        result.get(timeout=0.01)
    other = pool.imap(block, [30, 30, 30])
    with pytest.raises(multiprocessing.TimeoutError):
        other.next(timeout=0.01)
    assert pools.TimeoutError is multiprocessing.TimeoutError


def test_imap(pool: Any) -> None:
    results = pool.imap(square, range(10), chunksize=3)
    assert results.next(timeout=20) == 0
    assert list(results) == [x * x for x in range(1, 10)]
    with pytest.raises(StopIteration):
        next(results)


def test_imap_unordered(pool: Any) -> None:
    assert sorted(pool.imap_unordered(square, range(10))) == [x * x for x in range(10)]
    assert sorted(pool.imap_unordered(square, range(10), chunksize=4)) == [x * x for x in range(10)]


def test_imap_reads_an_endless_input_as_far_as_needed(pool: Any) -> None:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for x in itertools.count():
            taken.append(x)
            yield x

    results = pool.imap(square, source())
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    assert len(taken) < 20


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_imap_goes_on_after_an_error(pool: Any, method: str) -> None:
    results = list(getattr(pool, method)(not_three, range(5), chunksize=2))
    failed = [result for result in results if isinstance(result, Exception)]
    assert len(failed) == 1
    assert "three" in str(failed[0])
    assert sorted(result for result in results if result not in failed) == [0, 1, 2, 4]


def test_callbacks(pool: Any) -> None:
    got: list[Any] = []
    failed: list[Any] = []
    pool.apply_async(square, (3,), callback=got.append).get()
    pool.map_async(square, range(3), callback=got.append)
    pool.map_async(not_three, range(5), callback=got.append, error_callback=failed.append)
    pool.map_async(square, [], callback=got.append)
    wait_until(lambda: len(got) == 3 and len(failed) == 1, what="the callbacks")
    assert sorted(got, key=str) == sorted([9, [0, 1, 4], []], key=str)
    assert "three" in str(failed[0])


def test_a_callback_may_start_more_work(pool: Any) -> None:
    got: list[Any] = []

    def more(value: int) -> None:
        got.append(value)
        if value < 256:
            pool.apply_async(square, (value,), callback=more)

    pool.apply_async(square, (2,), callback=more)
    wait_until(lambda: got == [4, 16, 256], what="three callbacks")


def test_each_process_is_initialised() -> None:
    with pools.Pool(2, initializer=configure, initargs=("depth", 7)) as pool:
        assert pool.map(setting, ["depth"] * 8) == [7] * 8


def test_an_initializer_that_raises_is_reported() -> None:
    with pytest.raises(ray.exceptions.RayActorError, match="no licence"):
        pools.Pool(1, initializer=fail, initargs=("no licence",))
    with pytest.raises(TypeError, match="initializer=3"):
        pools.Pool(1, initializer=3)


def test_processes_are_processes(pool: Any, session: str, tmp_path: Path) -> None:
    processes = 1 if session == "inline" else 2
    calls = [pool.apply_async(meet, (tmp_path, processes)) for _ in range(2)]
    assert len({call.get() for call in calls}) == processes


def test_a_process_is_replaced_after_its_tasks(session: str) -> None:
    with pools.Pool(1, maxtasksperchild=2) as pool:
        seen = [pool.apply(os.getpid) for _ in range(6)]
        assert len(set(seen)) == (1 if session == "inline" else 3)
        assert pool.map(square, range(20), chunksize=1) == [x * x for x in range(20)]
        pool.close()
        pool.join()
    with pytest.raises(ValueError, match="maxtasksperchild=0"):
        pools.Pool(1, maxtasksperchild=0)


def test_close_and_join() -> None:
    pool = pools.Pool(2)
    result = pool.map_async(square, range(10))
    with pytest.raises(ValueError, match="still running"):
        pool.join()
    pool.close()
    pool.join()
    assert result.get() == [x * x for x in range(10)]
    for refused in (
        lambda: pool.apply(square, (1,)),
        lambda: pool.map(square, [1]),
        lambda: pool.imap(square, [1]),
        pool.__enter__,
    ):
        with pytest.raises(ValueError, match="Pool not running"):
            refused()


def test_terminate_ends_what_is_under_way(session: str) -> None:
    if session == "inline":
        pytest.skip("a call that blocks outside the API blocks everything in one process")
    pool = pools.Pool(1)
    result = pool.apply_async(block, (60,))
    pool.terminate()
    pool.join()
    with pytest.raises(ray.exceptions.RayActorError):
        result.get(timeout=20)


def test_the_number_of_processes_is_checked() -> None:
    with pytest.raises(ValueError, match="must be >0"):
        pools.Pool(0)
    with pytest.raises(ValueError, match="only 2 CPUs"):
        pools.Pool(3)
    with pools.Pool() as pool:
        assert len(pool._pool) == 2


@pytest.mark.parametrize("method", ["map", "imap", "imap_unordered", "starmap"])
def test_bad_input(pool: Any, method: str) -> None:
    with pytest.raises(TypeError, match="not iterable"):
        list(getattr(pool, method)(square, 3))
    with pytest.raises(ValueError, match="chunksize=0"):
        getattr(pool, method)(square, [1], chunksize=0)


def test_a_pool_in_a_task() -> None:
    @ray.remote(num_cpus=1)
    def inner() -> Any:
        with pools.Pool(2) as pool:
            return pool.map(square, range(5))

    assert ray.get(inner.remote(), timeout=30) == [0, 1, 4, 9, 16]
