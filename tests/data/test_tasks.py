"""Stages in tasks and actor pools."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import skate
import skate.data
from skate.exceptions import RayTaskError, UserCodeException
from skate.util.placement_group import placement_group, remove_placement_group

pytestmark = pytest.mark.usefixtures("session")


def test_tasks_run_elsewhere_and_keep_the_order() -> None:
    def tag(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "pid": os.getpid()}

    rows = skate.data.range(40, override_num_blocks=8).map(tag, num_cpus=1).take_all()
    assert [row["id"] for row in rows] == list(range(40))
    assert os.getpid() not in {row["pid"] for row in rows}


def test_long_work_moves_to_tasks_by_itself(tmp_path: Path) -> None:
    def slow(row: dict[str, Any]) -> dict[str, Any]:
        total = sum(i * i for i in range(300_000))
        return {**row, "pid": os.getpid(), "total": total}

    rows = skate.data.range(20, override_num_blocks=20).map(slow).take_all()
    assert [row["id"] for row in rows] == list(range(20))
    assert rows[0]["pid"] == os.getpid() != rows[-1]["pid"]


def test_tasks_get_on_where_placement_groups_hold_every_cpu() -> None:
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    assert group.wait(60)
    try:
        rows = skate.data.range(8, override_num_blocks=4).map(lambda row: row, concurrency=2).take_all()
        assert [row["id"] for row in rows] == list(range(8))
    finally:
        remove_placement_group(group)


class Scale:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"id": batch["id"] * self.factor, "pid": np.full(len(batch["id"]), os.getpid())}


@pytest.mark.parametrize("concurrency", [2, (1, 2)])
def test_a_class_is_instantiated_once_in_each_actor(concurrency: Any) -> None:
    dataset = skate.data.range(20, override_num_blocks=10).map_batches(
        Scale, fn_constructor_args=(3,), concurrency=concurrency
    )
    rows = dataset.take_all()
    assert [row["id"] for row in rows] == [3 * i for i in range(20)]
    assert 1 <= len({row["pid"] for row in rows}) <= 2


def test_a_class_without_concurrency_gets_a_pool() -> None:
    assert skate.data.range(3).map_batches(Scale, fn_constructor_args=(2,)).sum("id") == 6


def test_a_pool_leaves_the_cpus_to_the_stage_after_it() -> None:
    dataset = skate.data.range(12, override_num_blocks=12).map_batches(
        Scale, fn_constructor_args=(1,), concurrency=2
    )
    assert dataset.map(lambda row: {"id": row["id"]}, num_cpus=1).sum("id") == 66


def test_strategies_say_where() -> None:
    pool = skate.data.ActorPoolStrategy(size=1)
    rows = (
        skate.data.range(4, override_num_blocks=4)
        .map(lambda row: {"pid": os.getpid()}, compute=pool)
        .take_all()
    )
    assert len({row["pid"] for row in rows}) == 1 and rows[0]["pid"] != os.getpid()
    with pytest.raises(ValueError, match="live in actors"):
        skate.data.range(1).map(Scale, compute=skate.data.TaskPoolStrategy())


def test_an_error_in_a_task_is_raised_here() -> None:
    def fail(row: dict[str, Any]) -> dict[str, Any]:
        return {"x": 1 // (row["id"] - 5)}

    with pytest.raises(UserCodeException, match="ZeroDivisionError") as caught:
        skate.data.range(10, override_num_blocks=5).map(fail, num_cpus=1).take_all()
    assert isinstance(caught.value, RayTaskError)


def test_an_error_of_a_constructor_is_raised_here() -> None:
    class Broken:
        def __init__(self) -> None:
            raise KeyError("no model")

        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            return row

    with pytest.raises(RayTaskError, match="no model"):
        skate.data.range(3).map(Broken).take_all()


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    mark = tmp_path / "died"

    def die_once(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == 3 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return row

    rows = skate.data.range(8, override_num_blocks=8).map(die_once, num_cpus=1).take_all()
    assert [row["id"] for row in rows] == list(range(8))


def test_blocks_in_the_store_feed_the_native_engine() -> None:
    def group(batch: dict[str, Any]) -> dict[str, Any]:
        return {"k": batch["id"] % 3, "v": batch["id"]}

    dataset = skate.data.range(30, override_num_blocks=5).map_batches(group, num_cpus=1)
    assert dataset.groupby("k").sum("v").take_all() == [
        {"k": 0, "sum(v)": 135},
        {"k": 1, "sum(v)": 145},
        {"k": 2, "sum(v)": 155},
    ]


def test_a_large_result_is_cut_and_bounded() -> None:
    context = skate.data.DataContext.get_current().copy()
    context.target_max_block_size = 1 << 20
    with skate.data.DataContext.current(context):
        dataset = skate.data.range(4, override_num_blocks=2).map_batches(
            lambda batch: {"x": np.zeros(1 << 19)}, num_cpus=1
        )
        blocks = dataset.materialize()
    assert blocks.count() == 2 << 19
    assert blocks.num_blocks() >= 8


def test_leaving_a_loop_early_stops_the_tasks() -> None:
    dataset = skate.data.range(100, override_num_blocks=50).map_batches(lambda batch: batch, num_cpus=1)
    for batch in dataset.iter_batches(batch_size=2):
        assert batch["id"].tolist() == [0, 1]
        break


def test_streaming_split_deals_each_run_out() -> None:
    @skate.remote
    def read(iterator: skate.data.DataIterator) -> list[list[int]]:
        return [[row["id"] for row in iterator.iter_rows()] for _ in range(2)]

    parts = skate.data.range(11).streaming_split(2, equal=True)
    first, second = skate.get([read.remote(part) for part in parts])
    for epoch in range(2):
        assert len(first[epoch]) == len(second[epoch]) == 5
        assert not set(first[epoch]) & set(second[epoch])


def test_a_dataset_can_be_sent_to_a_task() -> None:
    @skate.remote
    def total(dataset: skate.data.Dataset) -> Any:
        return dataset.sum("id")

    assert skate.get(total.remote(skate.data.range(10).map(lambda row: {"id": row["id"] + 1}))) == 55
    assert skate.get(total.remote(skate.data.from_items([{"id": 1}, {"id": 2}]))) == 3


class DiesOnce:
    """Kills its own process at its fourth row, the first time that it comes to it, whichever process that is in."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == 3:
            try:
                self.mark.touch(exist_ok=False)
            except FileExistsError:
                return row
            os.kill(os.getpid(), signal.SIGKILL)
        return row


def test_a_worker_killed_in_any_stage_changes_no_answer(tmp_path: Path) -> None:
    ids = list(range(8))
    marks = iter(range(100))

    def dying(**where: Any) -> skate.data.Dataset:
        mark = tmp_path / f"mark-{next(marks)}"
        numbers = skate.data.range(8, override_num_blocks=4)
        if where:
            return numbers.map(DiesOnce, fn_constructor_args=(mark,), **where)
        return numbers.map(DiesOnce(mark), num_cpus=1)

    def found(dataset: skate.data.Dataset) -> list[int]:
        return sorted(row["id"] for row in dataset.take_all())

    assert found(dying(concurrency=1)) == ids  # in a pool of actors
    assert found(dying().sort("id", descending=True)) == ids
    assert found(dying().zip(skate.data.range(8).rename_columns({"id": "other"}))) == ids
    dying().write_parquet(str(tmp_path / "out"))
    assert found(skate.data.read_parquet(str(tmp_path / "out"))) == ids
    (split,) = dying().streaming_split(1)
    assert sorted(row["id"] for row in split.iter_rows()) == ids
    assert len(list(tmp_path.glob("mark-*"))) == 5  # each has had its death


def test_a_counter_of_calls(tmp_path: Path) -> None:
    """A schema takes at most one block, what is materialized is not made again, and nothing is made twice."""

    def counting(name: str, **where: Any) -> skate.data.Dataset:
        def count(batch: dict[str, Any]) -> dict[str, Any]:
            with open(tmp_path / name, "a") as file:
                file.writelines(f"{number}\n" for number in batch["id"])
            return {"id": batch["id"], "y": batch["id"] * 2}

        return skate.data.range(40, override_num_blocks=8).map_batches(count, batch_size=None, **where)

    def calls(name: str) -> list[int]:
        path = tmp_path / name
        return sorted(int(line) for line in path.read_text().split()) if path.exists() else []

    for number, where in enumerate(({}, {"num_cpus": 1})):
        seen = f"seen-{number}"
        dataset = counting(seen, **where)
        repr(dataset)
        assert calls(seen) == []  # nobody has asked for rows
        for moved in (dataset, dataset.sort("y"), dataset.random_shuffle(), dataset.repartition(3)):
            assert moved.schema().names == ["id", "y"]  # type: ignore[union-attr]
        assert dataset.groupby("id").sum("y").columns() == ["id", "sum(y)"]
        assert dataset.join(dataset, "inner", 1, on=("id",), right_suffix="_2").columns() == [
            "id",
            "y",
            "y_2",
        ]
        assert set(calls(seen)) == set(range(5))  # of the first block alone
        made = f"made-{number}"
        kept = counting(made, **where).materialize()
        assert kept.count() == 40 and kept.sum("y") == 1560 and kept.schema() and kept.take(1)
        assert kept.sort("y").take(1) and len(list(kept.iter_batches())) and kept.num_blocks() == 8
        assert kept.repartition(2).count() == 40 and kept.random_shuffle().count() == 40
        for part in kept.split(2):
            part.take_all()
        assert calls(made) == list(range(40))
        once = f"once-{number}"
        counting(once, **where).filter(lambda row: row["y"] > 4).sort("y").groupby("y").count().take_all()
        assert calls(once) == list(range(40))
