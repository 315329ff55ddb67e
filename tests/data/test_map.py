from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import skate
import skate.data
from skate.exceptions import RayTaskError, UserCodeException


def ids(dataset: skate.data.Dataset) -> list[Any]:
    return [row["id"] for row in dataset.take_all()]


def test_small_work_stays_in_this_process() -> None:
    pids = skate.data.range(100).map(lambda row: {"pid": os.getpid()}).unique("pid")
    assert pids == [os.getpid()]
    assert not skate.is_initialized()


def test_map_filter_flat_map_keep_the_order() -> None:
    dataset = skate.data.range(6, override_num_blocks=3)
    assert ids(dataset.map(lambda row: {"id": row["id"] * 2})) == [0, 2, 4, 6, 8, 10]
    assert ids(dataset.filter(lambda row: row["id"] % 2 == 1)) == [1, 3, 5]
    assert ids(dataset.flat_map(lambda row: [row] * (row["id"] % 3))) == [1, 2, 2, 4, 5, 5]


def test_a_function_gets_further_arguments() -> None:
    def scaled(row: dict[str, Any], factor: int, plus: int = 0) -> dict[str, Any]:
        return {"id": row["id"] * factor + plus}

    assert ids(skate.data.range(3).map(scaled, fn_args=(10,), fn_kwargs={"plus": 1})) == [1, 11, 21]


@pytest.mark.parametrize(
    ("batch_format", "kind"),
    [
        ("numpy", dict),
        ("default", dict),
        ("pandas", pd.DataFrame),
        ("pyarrow", pa.Table),
        (None, pa.Table),
        ("polars", pl.DataFrame),
    ],
)
def test_batches_come_in_the_format_asked_for_and_go_back_in_it(batch_format: str | None, kind: type) -> None:
    def check(batch: Any) -> Any:
        assert isinstance(batch, kind)
        return batch

    assert ids(skate.data.range(5).map_batches(check, batch_format=batch_format)) == [0, 1, 2, 3, 4]


def test_batch_size_joins_blocks() -> None:
    sizes = skate.data.range(10, override_num_blocks=3).map_batches(
        lambda batch: {"n": [len(batch["id"])]}, batch_size=5
    )
    assert [row["n"] for row in sizes.take_all()] == [5, 1, 4]


def test_a_batch_function_may_yield() -> None:
    def twice(batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield batch
        yield {"id": batch["id"] + 100}

    assert ids(skate.data.range(2, override_num_blocks=1).map_batches(twice)) == [0, 1, 100, 101]


def test_arrays_can_be_written_when_zero_copy_is_off() -> None:
    def negate(batch: dict[str, Any]) -> dict[str, Any]:
        batch["id"] *= -1
        return batch

    assert ids(skate.data.range(3).map_batches(negate, zero_copy_batch=False)) == [0, -1, -2]
    with pytest.raises(UserCodeException, match="read-only"):
        skate.data.range(3).map_batches(negate).take_all()


def test_tensors_of_one_shape_and_of_several_go_through() -> None:
    dataset = skate.data.range(2, override_num_blocks=1)
    square = dataset.map_batches(lambda batch: {"t": np.ones((2, 2, 2))})
    assert str(square.schema()).endswith("ArrowTensorTypeV2(shape=(2, 2), dtype=double)")
    ragged = dataset.map(lambda row: {"t": np.full((row["id"] + 1, 2), row["id"])})
    assert [row["t"].shape for row in ragged.take_all()] == [(1, 2), (2, 2)]


def test_any_object_goes_through() -> None:
    class Thing:
        def __init__(self, size: int) -> None:
            self.size = size

    rows = skate.data.range(2).map(lambda row: {"thing": Thing(row["id"])}).take_all()
    assert [row["thing"].size for row in rows] == [0, 1]


@pytest.mark.parametrize("bad", [1, [1], None])
def test_a_row_function_must_return_a_dict(bad: object) -> None:
    with pytest.raises(ValueError, match="wrap them in a dict"):
        skate.data.range(1).map(lambda row: bad).take_all()


def test_a_batch_function_must_return_a_batch() -> None:
    with pytest.raises(ValueError, match="expects `fn` to return"):
        skate.data.range(1).map_batches(lambda batch: 1).take_all()
    with pytest.raises(ValueError, match="same length"):
        skate.data.range(1).map_batches(lambda batch: {"a": [1], "b": [1, 2]}).take_all()
    with pytest.raises(ValueError, match="list of one item"):
        skate.data.range(1).map_batches(lambda batch: {"a": 1}).take_all()


def test_flat_map_must_return_a_list() -> None:
    with pytest.raises(TypeError, match="must return a list of dicts"):
        skate.data.range(1).flat_map(lambda row: 1).take_all()


def fails_at_three(row: dict[str, Any]) -> dict[str, Any]:
    if row["id"] == 3:
        raise KeyError("three")
    return row


def test_an_error_names_the_function_the_line_and_the_row() -> None:
    with pytest.raises(UserCodeException) as caught:
        skate.data.range(5, override_num_blocks=1).map(fails_at_three).take_all()
    assert isinstance(caught.value, RayTaskError)
    text = str(caught.value)
    assert "Map(fails_at_three) raised KeyError: 'three'" in text
    assert "test_map.py" in text and "on row 3" in text


def test_an_error_is_that_of_its_own_step() -> None:
    dataset = skate.data.range(5).map(fails_at_three).map(lambda row: row).filter(lambda row: True)
    with pytest.raises(UserCodeException, match=r"Map\(fails_at_three\) raised"):
        dataset.take_all()


def test_the_original_error_can_be_asked_for() -> None:
    context = skate.data.DataContext.get_current().copy()
    context.raise_original_map_exception = True
    with skate.data.DataContext.current(context):
        dataset = skate.data.range(5).map(fails_at_three)
    with pytest.raises(KeyError, match="three"):
        dataset.take_all()


def test_coroutine_functions_and_asynchronous_generators() -> None:
    async def double(row: dict[str, Any]) -> dict[str, Any]:
        return {"id": row["id"] * 2}

    async def twice(batch: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        yield batch
        yield batch

    assert ids(skate.data.range(3).map(double)) == [0, 2, 4]
    assert ids(skate.data.range(2, override_num_blocks=1).map_batches(twice)) == [0, 1, 0, 1]


def test_wrong_arguments_are_told_at_once() -> None:
    dataset = skate.data.range(3)
    with pytest.raises(ValueError, match="Exactly one of 'fn' or 'expr'"):
        dataset.filter()
    with pytest.raises(ValueError, match="fn_constructor_args"):
        dataset.map(lambda row: row, fn_constructor_args=(1,))
    with pytest.raises(ValueError, match="concurrency"):
        dataset.map(lambda row: row, concurrency="a")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size"):
        dataset.map(lambda row: row, concurrency=0)
    with pytest.raises(ValueError, match="Batch size"):
        dataset.map_batches(lambda batch: batch, batch_size=0)
    with pytest.raises(ValueError, match="isn't allowed"):
        dataset.map_batches(lambda batch: batch, batch_format="foo")


def test_columns_are_added_dropped_selected_and_renamed() -> None:
    dataset = skate.data.from_items([{"a": 1, "b": 2}])
    assert dataset.add_column("c", lambda frame: frame["a"] + frame["b"]).take_all() == [
        {"a": 1, "b": 2, "c": 3}
    ]
    assert dataset.drop_columns(["a"]).take_all() == [{"b": 2}]
    assert dataset.select_columns(["b", "a"]).columns() == ["b", "a"]
    assert dataset.rename_columns({"a": "x"}).take_all() == [{"x": 1, "b": 2}]
    assert dataset.rename_columns({"a": "b", "b": "a"}).take_all() == [{"b": 1, "a": 2}]
    assert dataset.rename_columns(["x", "y"]).columns() == ["x", "y"]
    with pytest.raises(KeyError, match="not found in dataset schema"):
        dataset.drop_columns(["z"])
    with pytest.raises(UserCodeException, match="'z' does not exist"):
        dataset.select_columns(["z"]).take_all()


def test_an_unknown_schema_does_not_hinder_columns() -> None:
    mapped = skate.data.range(2).map(lambda row: {"a": row["id"], "b": 0})
    assert mapped.drop_columns(["b"]).rename_columns({"a": "x"}).take_all() == [{"x": 0}, {"x": 1}]


def test_schema_runs_one_block_at_most_and_nothing_runs_again_after_materialize() -> None:
    calls: list[int] = []

    def count(batch: dict[str, Any]) -> dict[str, Any]:
        calls.append(len(batch["id"]))
        return batch

    dataset = skate.data.range(100, override_num_blocks=10).map_batches(count)
    assert dataset.columns() == ["id"]
    assert len(calls) == 1
    kept = dataset.materialize()
    assert len(calls) == 11
    assert kept.count() == dataset.count() == kept.sum("id") // 49.5 == 100
    assert kept.schema() == dataset.schema()
    assert len(calls) == 11


def test_limit_runs_no_more_than_it_needs() -> None:
    calls: list[int] = []

    def count(row: dict[str, Any]) -> dict[str, Any]:
        calls.append(row["id"])
        return row

    assert len(skate.data.range(1000, override_num_blocks=10).map(count).take(3)) == 3
    assert len(calls) == 3


def test_a_filter_that_keeps_nothing_keeps_the_schema() -> None:
    dataset = skate.data.range(3).filter(lambda row: False)
    assert dataset.take_all() == []
    assert dataset.columns() == ["id"]
    assert dataset.materialize().sum("id") is None
