"""Iterators over shards that actors hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

import skate
from skate.util import iter
from skate.util.iter import LocalIterator, ParallelIterator, ParallelIteratorWorker
from tests.leaks import guard


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    """One session for the file."""
    skate.shutdown()
    with guard.window(), skate.init(num_cpus=2):
        yield


def test_items_are_dealt_out_and_ranges_cut() -> None:
    dealt = iter.from_items(["a", "b", "c", "d", "e"], num_shards=2)
    assert [list(shard) for shard in dealt.shards()] == [["a", "c", "e"], ["b", "d"]]
    cut = iter.from_range(5, num_shards=2)
    assert [list(shard) for shard in cut.shards()] == [[0, 1], [2, 3, 4]]
    assert list(cut.gather_sync()) == [0, 2, 1, 3, 4]
    assert cut.num_shards() == 2
    assert repr(cut) == str(cut) == "ParallelIterator[from_range[5, shards=2]]"


def test_stages_run_in_the_actors() -> None:
    pids = iter.from_range(4).for_each(lambda _: os.getpid()).gather_sync().take(4)
    assert os.getpid() not in pids and len(set(pids)) == 2


def test_stages() -> None:
    numbers = iter.from_range(8, num_shards=2)
    assert list(numbers.for_each(lambda x: 2 * x).gather_sync()) == [0, 8, 2, 10, 4, 12, 6, 14]
    assert list(numbers.filter(lambda x: x % 2 == 0).gather_sync()) == [0, 4, 2, 6]
    assert list(numbers.batch(3).gather_sync()) == [[0, 1, 2], [4, 5, 6], [3], [7]]
    assert list(numbers.batch(3).flatten().gather_sync()) == list(numbers.gather_sync())
    assert sorted(numbers.combine(lambda x: [x, x]).gather_sync()) == sorted([*range(8), *range(8)])
    assert list(numbers.transform(lambda items: (x for x in items if x > 5)).gather_sync()) == [6, 7]
    mixed = list(numbers.local_shuffle(4, seed=1).get_shard(0))
    assert sorted(mixed) == [0, 1, 2, 3]
    assert sorted(numbers.for_each(lambda x: -x, max_concurrency=2).gather_async()) == list(range(-7, 1))


def test_an_error_in_a_stage_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(iter.from_range(4).for_each(lambda x: 1 // x).gather_sync())


def test_gathering_as_ready_and_across_shards() -> None:
    numbers = iter.from_range(6, num_shards=3)
    assert sorted(numbers.gather_async()) == list(range(6))
    assert sorted(numbers.gather_async(batch_ms=5, num_async=3)) == list(range(6))
    assert list(numbers.batch_across_shards()) == [[0, 2, 4], [1, 3, 5]]
    actors = [actor for actor, _item in numbers.gather_async().zip_with_source_actor()]
    assert len(set(actors)) == 3
    assert numbers.take(2) == [0, 2]


def test_an_iterator_that_repeats_has_no_end() -> None:
    assert iter.from_items([1, 2], num_shards=1, repeat=True).take(5) == [1, 2, 1, 2, 1]


def test_generators_and_actors_of_ones_own() -> None:
    made = iter.from_iterators([lambda: (x for x in "ab"), range(2)])
    assert list(made.gather_sync()) == ["a", 0, "b", 1]

    @skate.remote(num_cpus=0)
    class Letters(ParallelIteratorWorker):
        def __init__(self, letters: str) -> None:
            super().__init__(letters, repeat=False)

    found = iter.from_actors([Letters.remote("xy"), Letters.remote("z")])
    assert list(found.gather_sync()) == ["x", "z", "y"]


def test_other_shards() -> None:
    numbers: ParallelIterator[Any] = iter.from_range(8, num_shards=2)
    three = numbers.repartition(3)
    assert three.num_shards() == 3
    assert sorted(three.gather_async()) == list(range(8))
    assert list(numbers.select_shards([1]).gather_sync()) == [4, 5, 6, 7]
    both = numbers.union(iter.from_items(["a"], num_shards=1))
    assert sorted(map(str, both.gather_sync())) == [*map(str, range(8)), "a"]
    with pytest.raises(ValueError, match="not allowed after union"):
        both.select_shards([0])
    with pytest.raises(ValueError, match="out of range"):
        numbers.get_shard(2)
    with pytest.raises(TypeError, match="gather_sync"):
        list(numbers)


def test_it_can_be_sent_to_a_task() -> None:
    @skate.remote(num_cpus=0)
    def add_up(items: Any) -> int:
        return sum(items)

    numbers: ParallelIterator[int] = iter.from_range(4)
    assert skate.get([add_up.remote(shard) for shard in numbers.shards()]) == [1, 5]


def test_metrics_of_the_iterator_that_runs() -> None:
    def count(x: int) -> int:
        LocalIterator.get_metrics().counters["seen"] += 1
        return x

    items = iter.from_range(3).gather_sync().for_each(count)
    assert len(list(items)) == 3
    assert items.shared_metrics.get().counters["seen"] == 3
    with pytest.raises(ValueError, match="outside an iterator"):
        LocalIterator.get_metrics()


def test_local_iterators_are_copied_and_joined() -> None:
    first, second = iter.from_range(3, num_shards=1).gather_sync().duplicate(2)
    assert first.take(2) == [0, 1]
    assert list(second) == [0, 1, 2]
    assert list(first) == [2]
    low = iter.from_range(2, num_shards=1).gather_sync()
    high = iter.from_items([10, 11], num_shards=1).gather_sync()
    assert list(low.union(high, deterministic=True)) == [0, 10, 1, 11]
    slow, quick = (iter.from_items(items, num_shards=1).gather_async() for items in ([1, 2], [3]))
    assert sorted(slow.union(quick)) == [1, 2, 3]
    with pytest.raises(ValueError, match="length 2"):
        slow.union(quick, round_robin_weights=[1])
