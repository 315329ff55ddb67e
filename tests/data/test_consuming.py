from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import skate
import skate.data
from skate.data.iteration import prefetched


def test_batches_cross_blocks() -> None:
    batches = list(skate.data.range(7, override_num_blocks=3).iter_batches(batch_size=3))
    assert [batch["id"].tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    dropped = skate.data.range(7).iter_batches(batch_size=3, drop_last=True)
    assert [len(batch["id"]) for batch in dropped] == [3, 3]


@pytest.mark.parametrize(
    ("batch_format", "kind"), [("pandas", pd.DataFrame), ("pyarrow", pa.Table), ("numpy", dict)]
)
def test_batches_have_the_format_asked_for(batch_format: str, kind: type) -> None:
    assert isinstance(next(iter(skate.data.range(2).iter_batches(batch_format=batch_format))), kind)


def test_an_iterable_starts_again_each_time() -> None:
    batches = skate.data.range(3).iter_batches(batch_size=None)
    assert len(list(batches)) == len(list(batches)) == 3


def test_a_local_shuffle_keeps_all_rows_and_obeys_its_seed() -> None:
    def rows(seed: int) -> list[int]:
        batches = skate.data.range(100).iter_batches(
            batch_size=10, local_shuffle_buffer_size=30, local_shuffle_seed=seed
        )
        return [value for batch in batches for value in batch["id"].tolist()]

    assert rows(1) == rows(1) != rows(2)
    assert sorted(rows(1)) == list(range(100)) != rows(1)
    small = skate.data.range(30).iter_batches(batch_size=10, local_shuffle_buffer_size=5)
    assert sorted(value for batch in small for value in batch["id"].tolist()) == list(range(30))
    with pytest.raises(ValueError, match="positive integer"):
        skate.data.range(3).iter_batches(local_shuffle_buffer_size=0)


def test_prefetching_raises_errors_and_ends_when_its_reader_does() -> None:
    def numbers() -> Any:
        yield 1
        raise KeyError("two")

    items = prefetched(numbers(), 2)
    assert next(items) == 1
    with pytest.raises(KeyError, match="two"):
        next(items)
    endless = prefetched(iter_forever(), 2)
    assert next(endless) == 0
    endless.close()


def iter_forever() -> Any:
    number = 0
    while True:
        yield number
        number += 1


def test_taking_and_its_limits(capsys: pytest.CaptureFixture[str]) -> None:
    dataset = skate.data.range(30)
    assert len(dataset.take()) == 20
    assert dataset.take_batch(2)["id"].tolist() == [0, 1]
    with pytest.raises(ValueError, match="more than the given limit"):
        dataset.take_all(limit=10)
    with pytest.raises(ValueError, match="is empty"):
        dataset.limit(0).take_batch()
    dataset.show(2)
    assert capsys.readouterr().out == "{'id': 0}\n{'id': 1}\n"


def test_iterating_a_dataset_itself_says_how() -> None:
    with pytest.raises(TypeError, match="iter_rows"):
        iter(skate.data.range(1))
    with pytest.raises(AttributeError, match="count"):
        len(skate.data.range(1))


def test_frames_keep_types_that_numpy_lacks() -> None:
    frame = skate.data.from_arrow(pa.table({"i": [1, None], "d": [[1], None]})).to_pandas()
    assert str(frame.dtypes["i"]) == "int64[pyarrow]"
    assert frame["i"].isna().tolist() == [False, True]
    with pytest.raises(ValueError, match="more than the given limit"):
        skate.data.range(3).to_pandas(limit=2)


def test_splits() -> None:
    def rows(parts: Any) -> list[list[int]]:
        return [[row["id"] for row in part.take_all()] for part in parts]

    numbers = skate.data.range(5, override_num_blocks=5)
    assert rows(numbers.split(2)) == [[0, 1, 2], [3, 4]]
    assert rows(numbers.split(2, equal=True)) == [[0, 1], [2, 3]]
    assert rows(numbers.split_at_indices([1, 3])) == [[0], [1, 2], [3, 4]]
    assert rows(numbers.split_proportionately([0.4])) == [[0, 1], [2, 3, 4]]
    assert rows(numbers.train_test_split(0.4)) == [[0, 1, 2], [3, 4]]
    assert rows(numbers.train_test_split(1)) == [[0, 1, 2, 3], [4]]
    shuffled = rows(numbers.train_test_split(2, shuffle=True, seed=1))
    assert sorted(shuffled[0] + shuffled[1]) == [0, 1, 2, 3, 4]
    assert [part.count() for part in numbers.split(7)] == [1, 1, 1, 1, 1, 0, 0]


def test_stratified_splits_keep_the_shares() -> None:
    dataset = skate.data.from_items([{"k": "a" if i % 4 else "b", "i": i} for i in range(40)])
    train, test = dataset.train_test_split(0.25, stratify="k")
    counts = {row["k"]: row["count()"] for row in test.groupby("k").count().take_all()}
    assert counts == {"a": 8, "b": 2} and train.count() == 30


@pytest.mark.parametrize("options", [{"seed": 3}, {"split_type": "hash", "hash_column": "id"}])
def test_a_streaming_split_puts_each_row_in_one_part(options: Any) -> None:
    train, test = skate.data.range(1000).streaming_train_test_split(0.3, **options)
    ours = [{row["id"] for row in part.take_all()} for part in (train, test)]
    assert ours[0] | ours[1] == set(range(1000)) and not ours[0] & ours[1]
    assert 200 < len(ours[1]) < 400


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda d: d.split(0), "not positive"), (lambda d: d.split_at_indices([2, 1]), "sorted"),
        (lambda d: d.split_at_indices([]), "at least of length 1"),
        (lambda d: d.split_proportionately([0.5, 0.6]), "less than 1"),
        (lambda d: d.train_test_split(1.5), "smaller than 1"), (lambda d: d.train_test_split(30), "Got 30"),
        (lambda d: d.random_sample(2), "between 0 and 1"), (lambda d: d.sort([]), "non-zero length"),
        (lambda d: d.sort("id", descending=[True, False]), "same length"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_told(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(skate.data.range(3))


def test_lineage_goes_through_bytes() -> None:
    dataset = skate.data.range(3).map(lambda row: {"z": row["id"] + 1})
    assert dataset.has_serializable_lineage()
    assert skate.data.Dataset.deserialize_lineage(dataset.serialize_lineage()).sum("z") == 6
    assert not skate.data.from_items([1]).has_serializable_lineage()
    with pytest.raises(ValueError, match="Lineage"):
        skate.data.from_items([1]).serialize_lineage()


@pytest.mark.usefixtures("session")
def test_refs_to_blocks() -> None:
    dataset = skate.data.range(4, override_num_blocks=2)
    assert [t.num_rows for t in skate.get(dataset.to_arrow_refs())] == [2, 2]
    assert [len(f) for f in skate.get(dataset.to_pandas_refs())] == [2, 2]
    assert [a.tolist() for a in skate.get(dataset.to_numpy_refs(column="id"))] == [[0, 1], [2, 3]]
    assert [b.num_rows() for b in dataset.iter_internal_ref_bundles()] == [2, 2]


def test_datasets_print_their_columns_or_their_operators() -> None:
    numbers = skate.data.range(5)
    assert repr(numbers) == (
        "shape: (5, 1)\n╭───────╮\n│ id    │\n│ ---   │\n│ int64 │\n╰───────╯\n(Dataset isn't materialized)"
    )
    mapped = numbers.map(lambda row: row).filter(lambda row: True)
    assert repr(mapped) == (
        "Filter(<lambda>)\n+- Map(<lambda>)\n   +- Dataset(num_rows=5, schema={id: int64})"
    )
    shown = repr(skate.data.range(30).materialize())
    assert "│ 4     │\n│ …     │\n│ 25    │" in shown and shown.endswith("(Showing 10 of 30 rows)")
    numbers.set_name("five")
    assert repr(numbers).startswith("name: five\nshape: (5, 1)")


def test_plans_and_statistics_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    dataset = skate.data.range(3).map(lambda row: row).sort("id")
    dataset.explain()
    text = capsys.readouterr().out
    assert "Sort[Sort]\n+- MapRows[Map(<lambda>)]\n   +- Read[ReadRange]" in text and "Native[Sort]" in text
    dataset.materialize()
    assert "ReadRange->Map(<lambda>): executed in this process" in dataset.stats()


def test_describe_and_summary() -> None:
    dataset = skate.data.from_items([{"x": 1.0, "s": "a"}, {"x": None, "s": "b"}, {"x": 3.0, "s": None}])
    frame = dataset.describe()
    assert frame.loc["mean", "x"] == 2.0 and frame.loc["max", "s"] == "b" and frame.loc["count", "s"] == 2
    assert dataset.summary(columns=["x"]).columns == ["x"]


def test_blocks_are_looked_into() -> None:
    block = skate.data.block.BlockAccessor.for_block(pd.DataFrame({"x": [1, 2, 3]}))
    assert (block.num_rows(), block.sum("x", True), block.mean("x", True)) == (3, 6, 2.0)
    assert block.slice(1, 3).num_rows == 2
    assert block.to_numpy("x").tolist() == [1, 2, 3]
    with pytest.raises(TypeError, match="Not a block type"):
        skate.data.block.BlockAccessor.for_block([1])


def test_tensor_types_survive_pickling_and_slicing() -> None:
    column = skate.data.extensions.ArrowTensorArray.from_numpy(np.arange(12).reshape(3, 2, 2))
    table = pickle.loads(pickle.dumps(pa.table({"t": column}))).slice(1)
    assert skate.data.convert.column_to_numpy(table.column("t")).tolist() == [
        [[4, 5], [6, 7]],
        [[8, 9], [10, 11]],
    ]
