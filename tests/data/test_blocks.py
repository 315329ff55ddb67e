"""Blocks as programs with aggregations, sources and sinks of their own look into them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import skate.data
from skate.air.util.data_batch_conversion import BatchFormat
from skate.data._internal.planner.exchange.sort_task_spec import SortKey
from skate.data.block import (
    BlockAccessor,
    BlockColumnAccessor,
    BlockExecStats,
    BlockMetadata,
    BlockMetadataWithSchema,
)
from skate.data.extensions import TensorDtype
from skate.data.util.data_batch_conversion import (
    convert_batch_type_to_numpy,
    convert_batch_type_to_pandas,
    convert_pandas_to_batch_type,
)

BLOCK = BlockAccessor.for_block(pa.table({"a": [3, 1, None, 2], "b": ["x", "y", "z", "w"]}))


def test_rows_are_put_in_order_and_cut() -> None:
    assert BLOCK.sort(SortKey("a")).column("a").to_pylist() == [1, 2, 3, None]
    parts = BLOCK.sort_and_partition([(2,), (9,)], SortKey("a"))
    assert [part.column("a").to_pylist() for part in parts] == [[1], [2, 3], [None]]
    parts = BLOCK.sort_and_partition([(2,)], SortKey(["a"], [True]))
    assert [part.column("a").to_pylist() for part in parts] == [[3, 2], [1, None]]
    merged, known = BLOCK.merge_sorted_blocks([BLOCK.to_block()] * 2, SortKey("a"))
    assert merged.column("a").to_pylist() == [1, 1, 2, 2, 3, 3, None, None]
    assert (known.num_rows, known.schema) == (8, BLOCK.schema())
    assert BLOCK.sample(2, SortKey("a")).shape == (2, 1)
    with pytest.raises(ValueError, match="has 2 items for the 1 columns"):
        SortKey("a", [True, False])
    with pytest.raises(ValueError, match="no such column"):
        SortKey("none").validate_schema(BLOCK.schema())


def test_columns_are_added_and_blocks_joined() -> None:
    assert BLOCK.upsert_column("c", pa.array([1, 2, 3, 4])).column_names == ["a", "b", "c"]
    assert BLOCK.upsert_column("a", pa.array([0] * 4)).column("a").to_pylist() == [0] * 4
    joined = BLOCK.zip(pa.table({"a": range(4), "a_1": range(4)}))
    assert joined.column_names == ["a", "b", "a_1", "a_1_1"]
    with pytest.raises(ValueError, match=r"Cannot zip self \(length 4\) with block of length 1"):
        BLOCK.zip(pa.table({"c": [1]}))
    builder = BlockAccessor.builder()
    builder.add({"a": 1})
    builder.add_block(pa.table({"a": [2]}))
    builder.add({"a": 3})
    assert builder.num_rows() == 3 and builder.build().to_pydict() == {"a": [1, 2, 3]}
    assert builder.get_estimated_memory_usage() == 24


def test_a_column_is_aggregated() -> None:
    column = BlockColumnAccessor.for_column(pd.Series([1.0, 3.0, 3.0]))
    assert (
        column.count(ignore_nulls=True),
        column.min(ignore_nulls=True),
        column.max(ignore_nulls=True),
    ) == (3, 1, 3)
    assert column.mean(ignore_nulls=True) == pytest.approx(7 / 3)
    assert column.quantile(q=0.5, ignore_nulls=True) == 3.0
    assert column.sum_of_squared_diffs_from_mean(ignore_nulls=True) == pytest.approx(8 / 3)
    assert column.value_counts() == {"values": [1.0, 3.0], "counts": [1, 2]}
    assert len(set(column.hash().to_pylist())) == 2
    holes = BlockColumnAccessor(pa.chunked_array([[1, None]]))
    assert holes.sum(ignore_nulls=False) is None and holes.sum(ignore_nulls=True) == 1
    assert holes.dropna().to_pylist() == [1] and holes.sum(ignore_nulls=True, as_py=False) == pa.scalar(1)
    lists = BlockColumnAccessor(pa.array([[1], [2, 3]]))
    assert lists.is_composed_of_lists() and lists.flatten().to_pylist() == [1, 2, 3]
    with pytest.raises(TypeError, match="Expected either a pandas.Series"):
        BlockColumnAccessor.for_column([1])


def test_what_is_known_of_a_block() -> None:
    meta = BlockMetadata(num_rows=1, size_bytes=2, exec_stats=None, input_files=["f"])
    assert meta.input_files == ("f",) and BlockMetadata(1, 2, None).input_files is None
    full = BlockMetadataWithSchema.from_metadata(meta, BLOCK.schema())
    assert full.metadata == meta and full.to_stats().num_rows == 1
    watch = BlockExecStats.builder()
    watch.finish()
    stats = watch.build(task_idx=3)
    assert stats.wall_time_s is not None and stats.wall_time_s >= 0 and stats.task_idx == 3


def test_batches_go_between_formats() -> None:
    frame = convert_batch_type_to_pandas(np.ones((2, 3)))
    assert list(frame.columns) == ["__value__"] and frame["__value__"].iloc[0].shape == (3,)
    tensors = convert_pandas_to_batch_type(frame, BatchFormat.PANDAS, cast_tensor_columns=True)
    assert tensors["__value__"].dtype == TensorDtype((3,), np.float64)
    back = convert_batch_type_to_pandas(tensors, cast_tensor_columns=True)
    assert back["__value__"].dtype == object
    assert convert_pandas_to_batch_type(back, BatchFormat.NUMPY).shape == (2, 3)
    assert convert_pandas_to_batch_type(pd.DataFrame({"a": [1]}), BatchFormat.ARROW).to_pydict() == {"a": [1]}
    assert list(convert_batch_type_to_numpy(pd.DataFrame({"a": [1], "b": [2]}))) == ["a", "b"]
    for wrong in (5, {"a": [1]}):
        with pytest.raises(ValueError, match="expected it to be one of|must be of type np.ndarray"):
            convert_batch_type_to_numpy(wrong)


def test_small_files_of_a_task_are_one_block(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.csv").write_text(f"a\n{number}\n")
    assert skate.data.read_csv(str(tmp_path), override_num_blocks=2).materialize().num_blocks() == 2
    (tmp_path / "4.csv").write_text("a\nx\n")
    mixed = skate.data.read_csv(str(tmp_path), override_num_blocks=1).materialize()
    assert mixed.num_blocks() == 2 and mixed.count() == 5  # another type does not change the others
