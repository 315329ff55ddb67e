"""Objects of other libraries become datasets, and datasets become theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask.dataframe as dd
import datasets
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
import tqdm

import skate.data

datasets.disable_progress_bars()
tqdm.tqdm.monitor_interval = 0  # it would start a thread that stays
FRAME = pd.DataFrame(
    {"a": [1, 2, 3], "s": ["x", None, "z"], "d": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01"])}
)


def test_dask_frames_go_both_ways() -> None:
    frame = dd.from_pandas(FRAME, npartitions=2)
    dataset = skate.data.from_dask(frame)
    assert dataset.num_blocks() == 2 and dataset.to_pandas()["a"].tolist() == [1, 2, 3]
    back = skate.data.from_pandas([FRAME[:1], FRAME[1:]]).to_dask()
    assert back.npartitions == 2
    assert back.compute(scheduler="sync")["a"].tolist() == [1, 2, 3]
    assert back["a"].sum().compute(scheduler="sync") == 6


def test_polars_frames_go_both_ways() -> None:
    frame = pl.DataFrame({"a": [1, 2], "l": [[1], [2, 3]], "c": pl.Series(["x", "y"], dtype=pl.Categorical)})
    dataset = skate.data.from_polars([frame, frame])
    assert dataset.num_blocks() == 2
    assert dataset.to_polars()["a"].to_list() == [1, 2, 1, 2]
    assert dataset.take(2)[1]["l"] == [2, 3] and dataset.take(2)[1]["c"] == "y"
    assert skate.data.from_polars(frame.lazy()).count() == 2


def test_duckdb_takes_and_gives_arrow() -> None:
    table = skate.data.range(5).to_arrow()
    with duckdb.connect() as connection:
        connection.register("numbers", table)
        found = connection.sql("select id * 2 as twice from numbers where id > 2").to_arrow_table()
    assert skate.data.from_arrow(found).take_all() == [{"twice": 6}, {"twice": 8}]


def test_hugging_face_datasets() -> None:
    made = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, 1, 2]})
    dataset = skate.data.from_huggingface(made)
    assert dataset.take_all() == [{"text": t, "label": i} for i, t in enumerate("abc")]
    chosen = skate.data.from_huggingface(made.filter(lambda row: row["label"] > 0, keep_in_memory=True))
    assert [row["text"] for row in chosen.take_all()] == ["b", "c"]
    assert skate.data.from_huggingface(made, override_num_blocks=3).materialize().num_blocks() == 3
    streamed = made.to_iterable_dataset().map(lambda row: {"text": row["text"] * 2})
    assert [row["text"] for row in skate.data.from_huggingface(streamed).take_all()] == ["aa", "bb", "cc"]
    with pytest.raises(DeprecationWarning, match="DatasetDict"):
        skate.data.from_huggingface(datasets.DatasetDict(train=made))
    with pytest.raises(TypeError, match="must be a `datasets.Dataset`"):
        skate.data.from_huggingface([1])


def test_a_stream_of_hugging_face_is_read_as_far_as_it_is_needed() -> None:
    seen = []

    def rows() -> Iterator[dict[str, int]]:
        for i in range(1_000_000):
            seen.append(i)
            yield {"i": i}

    streamed = datasets.IterableDataset.from_generator(rows)
    assert skate.data.from_huggingface(streamed).take(2) == [{"i": 0}, {"i": 1}]
    assert len(seen) < 100_000


class Squares(torch.utils.data.Dataset[int]):  # type: ignore[misc]
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        if index >= 4:
            raise IndexError(index)
        return index * index


class Endless(torch.utils.data.IterableDataset[int]):  # type: ignore[misc]
    def __iter__(self) -> Iterator[int]:
        yield from range(1_000_000_000)


def test_torch_datasets() -> None:
    assert [row["item"] for row in skate.data.from_torch(Squares()).take_all()] == [0, 1, 4, 9]
    assert skate.data.from_torch(Squares()).count() == 4
    assert skate.data.from_torch(Endless()).take(2) == [{"item": 0}, {"item": 1}]


def test_arrays_and_frames_keep_their_types() -> None:
    arrays = [np.arange(2, dtype=np.int8), np.arange(2, dtype=np.int8)]
    assert skate.data.from_numpy(arrays).to_arrow().schema.field("data").type == pa.int8()
    pd.testing.assert_frame_equal(skate.data.from_pandas(FRAME).to_pandas(), FRAME)
    refs: list[Any] = skate.data.from_pandas([FRAME, FRAME]).to_pandas_refs()
    assert len(refs) == 2
