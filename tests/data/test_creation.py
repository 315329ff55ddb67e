from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import skate
import skate.data


def test_range_counts_from_zero() -> None:
    assert skate.data.range(3).take_all() == [{"id": 0}, {"id": 1}, {"id": 2}]


@pytest.mark.parametrize("n", [0, -1])
def test_an_empty_range_has_a_schema_and_no_rows(n: int) -> None:
    dataset = skate.data.range(n)
    assert dataset.count() == 0
    assert dataset.take_all() == []
    assert dataset.columns() == ["id"]


def test_override_num_blocks_makes_parts_of_equal_size_and_a_rest() -> None:
    sizes = [len(b["id"]) for b in skate.data.range(10, override_num_blocks=3).iter_batches(batch_size=None)]
    assert sizes == [3, 3, 3, 1]


def test_range_tensor_fills_tensors() -> None:
    rows = skate.data.range_tensor(2, shape=(2, 2)).take_all()
    assert rows[1]["data"].tolist() == [[1, 1], [1, 1]]


def test_items_that_are_no_dicts_are_in_the_column_item() -> None:
    assert skate.data.from_items([1, "a"]).take_all() == [{"item": 1}, {"item": "a"}]


def test_a_key_that_a_row_lacks_is_null() -> None:
    rows = skate.data.from_items([{"a": 1}, {"b": 2}], override_num_blocks=1).take_all()
    assert rows == [{"a": 1, "b": None}, {"a": None, "b": 2}]


def test_no_items_make_an_empty_dataset() -> None:
    dataset = skate.data.from_items([])
    assert dataset.count() == 0
    assert dataset.schema() is None
    assert repr(dataset) == "MaterializedDataset(num_rows=0, schema=Unknown schema)"


def test_pandas_frames_come_back_as_they_were() -> None:
    frame = pd.DataFrame({"a": [1.5, None], "b": ["x", None], "c": pd.Categorical(["u", "v"])})
    pd.testing.assert_frame_equal(skate.data.from_pandas(frame).to_pandas(), frame)


def test_each_frame_is_a_block() -> None:
    frames = [pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})]
    assert skate.data.from_pandas(frames).num_blocks() == 2
    assert skate.data.from_pandas(frames, override_num_blocks=1).num_blocks() == 1


def test_arrays_are_in_the_column_data() -> None:
    assert skate.data.from_numpy(np.arange(2)).take_all() == [{"data": 0}, {"data": 1}]
    schema = skate.data.from_numpy(np.ones((2, 3))).schema()
    assert str(schema).endswith("data    ArrowTensorTypeV2(shape=(3,), dtype=double)")


def test_arrow_tables_and_bytes_of_them() -> None:
    table = pa.table({"a": [1, 2]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert skate.data.from_arrow(table).to_arrow().equals(table)
    assert skate.data.from_arrow(sink.getvalue().to_pybytes()).to_arrow().equals(table)


@pytest.mark.usefixtures("session")
def test_refs_are_read_from_the_object_store() -> None:
    ref = skate.put(pa.table({"a": [1]}))
    assert skate.data.from_arrow_refs([ref]).take_all() == [{"a": 1}]
    assert skate.data.from_pandas_refs(skate.put(pd.DataFrame({"a": [2]}))).take_all() == [{"a": 2}]
    assert skate.data.from_numpy_refs(skate.put(np.array([3]))).take_all() == [{"data": 3}]


def test_something_else_than_a_ref_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected a ref"):
        skate.data.from_arrow_refs(pa.table({"a": [1]}))


def test_a_datasource_of_ones_own() -> None:
    class Letters(skate.data.Datasource):
        def estimate_inmemory_data_size(self) -> None:
            return None

        def get_read_tasks(
            self, parallelism: int, per_task_row_limit: int | None = None, data_context: object = None
        ) -> list[skate.data.ReadTask]:
            meta = skate.data.block.BlockMetadata(1, 1, None)
            tables = [pa.table({"x": [x]}) for x in "abc"]
            return [skate.data.ReadTask(functools.partial(iter, [table]), meta) for table in tables]

    dataset = skate.data.read_datasource(Letters())
    assert [row["x"] for row in dataset.take_all()] == ["a", "b", "c"]
    assert dataset.take(1) == [{"x": "a"}]
