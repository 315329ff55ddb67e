"""Iterators: resuming, shuffling from epoch to epoch, making batches beforehand, and splits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import skate
import skate.data
from skate.data.iteration import prefetched


def ids(batches: Any) -> list[int]:
    return [int(number) for batch in batches for number in batch["id"]]


def started(iterator: skate.data.DataIterator, batches: int, **options: Any) -> list[int]:
    """The ids of so many batches, of a loop that is then left."""
    seen = []
    for batch in iterator.iter_batches(batch_size=4, **options):
        seen += batch["id"].tolist()
        if len(seen) >= 4 * batches:
            break
    return seen


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"prefetch_batches": 0},
        {"local_shuffle_buffer_size": 8, "local_shuffle_seed": 3},
        {"local_shuffle_buffer_size": 8},
    ],
)
def test_a_loop_goes_on_where_another_has_ended(options: dict[str, Any]) -> None:
    dataset = skate.data.range(21, override_num_blocks=5)
    first = dataset.iterator()
    seen = started(first, 2, **options)
    second = skate.data.range(21, override_num_blocks=5).iterator()
    second.load_state_dict(first.state_dict())
    rest = ids(second.iter_batches(batch_size=4, **options))
    assert len(seen) == 8 and sorted(seen + rest) == list(range(21))
    assert second.state_dict()["epoch"] == 1 and second.state_dict()["rows"] == 0
    assert sorted(ids(second.iter_batches(batch_size=4, **options))) == list(range(21))


def test_rows_are_counted_one_by_one() -> None:
    first = skate.data.range(10, override_num_blocks=3).iterator()
    for row in first.iter_rows():
        if row["id"] == 6:
            break
    second = skate.data.range(10, override_num_blocks=3).iterator()
    second.load_state_dict(first.state_dict())
    assert [row["id"] for row in second.iter_rows()] == [7, 8, 9]


@pytest.mark.parametrize("seed", [None, skate.data.RandomSeedConfig(7)])
def test_a_shuffled_dataset_goes_on_in_the_same_order(seed: Any) -> None:
    def dataset() -> skate.data.Dataset:
        return skate.data.range(40).random_shuffle(seed=seed)

    iterator = dataset().iterator()
    ids(iterator.iter_batches(batch_size=4))  # one whole epoch
    seen = started(iterator, 3)
    state = iterator.state_dict()
    rests = []
    for _ in range(2):
        other = dataset().iterator()
        other.load_state_dict(state)
        rests.append(ids(other.iter_batches(batch_size=4)))
    assert rests[0] == rests[1]
    assert sorted(seen + rests[0]) == list(range(40))


def test_each_epoch_has_an_order_of_its_own_that_the_seed_determines() -> None:
    def epochs(seed: Any) -> list[list[int]]:
        dataset = skate.data.range(50).random_shuffle(seed=seed)
        return [ids(dataset.iter_batches()) for _ in range(3)]

    config = skate.data.RandomSeedConfig(11)
    first = epochs(config)
    assert first == epochs(config)
    assert len({tuple(order) for order in first}) == 3
    assert len({tuple(order) for order in epochs(11)}) == 1
    assert len({tuple(order) for order in epochs(skate.data.RandomSeedConfig(11, False))}) == 1
    with pytest.raises(ValueError, match="Invalid seed type"):
        skate.data.range(1).random_shuffle(seed="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("state", [{}, {"version": 99, "epoch": 0, "rows": 0, "seed": None}, None])
def test_a_state_from_elsewhere_is_refused(state: Any) -> None:
    with pytest.raises(ValueError, match="load_state_dict"):
        skate.data.range(1).iterator().load_state_dict(state)


def test_a_loop_that_is_left_does_not_matter_to_the_next() -> None:
    iterator = skate.data.range(9).iterator()
    assert started(iterator, 1) == [0, 1, 2, 3]
    assert ids(iterator.iter_batches(batch_size=4)) == list(range(9))


def test_items_are_made_beforehand_once_that_takes_long() -> None:
    made: list[int] = []
    ahead = threading.Event()
    clock = [0]

    def source() -> Iterator[int]:
        for number in range(6):
            made.append(number)
            if number == 0:
                total = 0
                while clock[0] < 3_000_000:  # longer than the reader makes items by itself
                    clock[0] += 1
                    total += clock[0]
            if number == 3:
                ahead.set()
            yield number

    items = prefetched(source(), 2)
    assert next(items) == 0
    assert next(items) == 1
    assert ahead.wait(30)  # the third is made while nobody asks
    assert list(items) == [2, 3, 4, 5]
    assert made == list(range(6))


def test_an_error_on_the_way_is_raised_where_batches_are_read() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        list(prefetched(source(), 1))


@pytest.mark.usefixtures("session")
def test_readers_of_a_split_go_on_together() -> None:
    @skate.remote
    class Reader:
        def __init__(self, iterator: skate.data.DataIterator) -> None:
            self.iterator = iterator

        def read(self, rows: int | None) -> list[int]:
            seen: list[int] = []
            for row in self.iterator.iter_rows():
                seen.append(row["id"])
                if len(seen) == rows:
                    break
            return seen

        def state(self) -> dict[str, Any]:
            return self.iterator.state_dict()

        def load(self, state: dict[str, Any]) -> None:
            self.iterator.load_state_dict(state)

    def readers() -> list[Any]:
        dataset = skate.data.range(20, override_num_blocks=4).random_shuffle()
        return [Reader.remote(part) for part in dataset.streaming_split(2, equal=True)]

    first = readers()
    skate.get([reader.read.remote(None) for reader in first])
    seen = skate.get([reader.read.remote(3) for reader in first])
    states = skate.get([reader.state.remote() for reader in first])
    second = readers()
    skate.get([reader.load.remote(state) for reader, state in zip(second, states, strict=True)])
    rest = skate.get([reader.read.remote(None) for reader in second])
    assert [len(part) for part in rest] == [7, 7]
    assert sorted(number for part in seen + rest for number in part) == list(range(20))


@pytest.mark.usefixtures("session")
def test_a_split_by_demand_has_no_state_and_says_how_many_share_it() -> None:
    part = skate.data.range(4).streaming_split(2)[0]
    assert part.world_size() == 2
    with pytest.raises(ValueError, match="equal=True"):
        part.state_dict()


@pytest.mark.usefixtures("session")
def test_large_blocks_reach_the_readers_of_a_split() -> None:
    @skate.remote
    def total(iterator: skate.data.DataIterator) -> tuple[int, float]:
        rows, found = 0, 0.0
        for batch in iterator.iter_batches(batch_size=None):
            rows += len(batch["x"])
            found += float(batch["x"].sum())
        return rows, found

    dataset = skate.data.from_numpy(np.arange(200_000, dtype=float)).rename_columns({"data": "x"})
    found = skate.get([total.remote(part) for part in dataset.streaming_split(2, equal=True)])
    assert [rows for rows, _ in found] == [100_000, 100_000]
    assert sum(part for _, part in found) == float(np.arange(200_000).sum())


@pytest.mark.usefixtures("session")
def test_single_rows_are_found_by_key() -> None:
    dataset = skate.data.range(30, override_num_blocks=3).map(
        lambda row: {"key": 2 * row["id"], "text": str(row["id"])}
    )
    found = dataset.random_shuffle(seed=1).to_random_access_dataset("key", num_workers=2)
    assert skate.get(found.get_async(8)) == {"key": 8, "text": "4"}
    assert skate.get([found.get_async(key) for key in (-1, 3, 100)]) == [None, None, None]
    rows = found.multiget([58, 7, 0, 58])
    assert [row and row["text"] for row in rows] == ["29", None, "0", "29"]
    assert "Num workers: 2" in found.stats() and "Accesses per worker" in found.stats()
    with pytest.raises(ValueError, match="num_workers=0"):
        dataset.to_random_access_dataset("key", num_workers=0)
