"""Sorting, grouping, joining and shuffling of more rows than the budget allows in memory, against the way without a disk."""

from __future__ import annotations

import itertools
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import skate.data
from skate.data import aggregate as ag
from skate.data.execution import memory, shuffle, spill
from skate.data.execution.bundle import Bundle
from skate.data.expressions import col
from skate.data.plan import native
from skate.data.plan.logical import InputData

ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(-3, 3)),
        st.one_of(st.none(), st.floats(-9, 9, width=32), st.just(float("nan"))),
        st.one_of(st.none(), st.sampled_from(["", "a", "ä", "日本"])),
    ),
    max_size=60,
)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A budget of next to nothing; the list gets the size of each frame that goes to the disk."""
    spilled: list[int] = []
    write = spill.Spool.spill

    def counted(self: spill.Spool) -> None:
        spilled.append(self.held)
        write(self)

    monkeypatch.setattr(memory, "budget", lambda: 64)
    monkeypatch.setattr(shuffle, "budget", lambda: 64)
    monkeypatch.setattr(spill.Spool, "spill", counted)
    return spilled


def dataset_of(table: pa.Table, blocks: int = 4) -> skate.data.Dataset:
    edges = [table.num_rows * i // blocks for i in range(blocks + 1)]
    parts = [table.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    return skate.data.MaterializedDataset(InputData((), tuple(Bundle(part) for part in parts)))


def table_of(rows: list[Any]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    return pa.table(
        {
            "k": pa.array(columns[0], pa.int64()),
            "x": pa.array(columns[1], pa.float64()),
            "s": pa.array(columns[2], pa.string()),
            "n": pa.array(range(len(rows)), pa.int64()),
        }
    )


def values(dataset: skate.data.Dataset) -> list[tuple[Any, ...]]:
    def plain(value: Any) -> Any:
        if isinstance(value, float):
            return "nan" if math.isnan(value) else round(value, 6)
        return value

    return [tuple(plain(value) for value in row.values()) for row in dataset.take_all()]


def both(make: Any) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The answer over the disk, and the answer in memory."""
    over_disk = values(make())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "budget", lambda: 1 << 40)
        patch.setattr(shuffle, "budget", lambda: 1 << 40)
        return over_disk, values(make())


relaxed = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(rows=ROWS, keys=st.sampled_from([["k"], ["x"], ["s", "k"], ["k", "x", "s"]]), down=st.booleans())
@relaxed
def test_sorting_over_the_disk(tiny: list[int], rows: list[Any], keys: list[str], down: bool) -> None:
    table = table_of(rows)
    order = [down, *[not down] * (len(keys) - 1)]
    over_disk, in_memory = both(lambda: dataset_of(table).sort(keys, descending=order))
    assert over_disk == in_memory


@given(rows=ROWS, keys=st.sampled_from([["k"], ["s", "k"]]))
@relaxed
def test_grouping_over_the_disk(tiny: list[int], rows: list[Any], keys: list[str]) -> None:
    table = table_of(rows)
    aggs = (ag.Sum("x"), ag.Count(), ag.AsList("n"), ag.Quantile("n"), ag.Max("s"))
    over_disk, in_memory = both(lambda: dataset_of(table).groupby(keys).aggregate(*aggs))
    assert over_disk == in_memory


@pytest.mark.parametrize(
    "how",
    [
        "inner",
        "left_outer",
        "right_outer",
        "full_outer",
        "left_semi",
        "left_anti",
        "right_semi",
        "right_anti",
    ],
)
@given(left=ROWS, right=ROWS)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_joining_over_the_disk(tiny: list[int], how: str, left: list[Any], right: list[Any]) -> None:
    one = table_of(left).select(["k", "n"])
    two = table_of(right).select(["k", "s"]).set_column(0, "k", table_of(right).column("k").cast(pa.int32()))
    over_disk, in_memory = both(lambda: dataset_of(one).join(dataset_of(two), how, 1, on=("k",)))
    assert sorted(over_disk, key=repr) == sorted(in_memory, key=repr)


def test_much_of_one_key_is_not_held(tiny: list[int]) -> None:
    rows = [(1 if i % 10 else i % 7, float(i), "a") for i in range(5000)]
    table = table_of(rows)
    over_disk, in_memory = both(lambda: dataset_of(table).sort("k"))
    assert over_disk == in_memory
    over_disk, in_memory = both(lambda: dataset_of(table).groupby("k").aggregate(ag.AsList("n")))
    assert over_disk == in_memory
    assert any(tiny)


def test_streams_of_functions_go_over_the_disk_too(tiny: list[int]) -> None:
    dataset = skate.data.range(500, override_num_blocks=5).map_batches(
        lambda batch: {"id": batch["id"], "k": batch["id"] % 50}
    )
    assert values(dataset.sort("k", descending=True))[0][1] == 49
    assert values(dataset.groupby("k").count()) == [(k, 10) for k in range(50)]
    assert sorted(row[0] for row in values(dataset.random_shuffle(seed=1))) == list(range(500))
    assert any(tiny)


def test_nothing_goes_over_the_disk_too(
    tiny: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "SMALL_BYTES", 64)
    skate.data.range(5000).map_batches(lambda batch: {"k": batch["id"] % 9, **batch}).write_parquet(
        str(tmp_path)
    )
    none = skate.data.read_parquet(str(tmp_path)).filter(expr=col("id") < 0)
    assert none.sort("k").take_all() == [] and none.sort("k").columns() == ["k", "id"]
    assert none.groupby("k").aggregate(ag.AsList("id")).take_all() == []
    assert none.join(none.select_columns(["id"]), "inner", 1, on=("id",)).take_all() == []
    assert none.random_shuffle().take_all() == []


def test_tensors_and_objects_survive_the_disk(tiny: list[int]) -> None:
    dataset = skate.data.range(6, override_num_blocks=3).map(
        lambda row: {"id": row["id"], "t": np.full((2, 2), row["id"]), "o": complex(1, row["id"])}
    )
    rows = dataset.sort("id", descending=True).take_all()
    assert [row["t"][0, 0] for row in rows] == [5, 4, 3, 2, 1, 0]
    assert rows[0]["o"] == complex(1, 5)
    assert any(tiny)


def test_later_blocks_may_be_of_other_types(tiny: list[int]) -> None:
    """As when a function gives whole numbers, texts or columns only for some of its batches."""

    def change(batch: dict[str, Any]) -> dict[str, Any]:
        first = int(batch["id"][0])
        late = first >= 60
        x = batch["id"] + 0.5 if late else batch["id"]
        return {"id": batch["id"], "x": x, "s": ["a" if late else None] * 20, **({"new": x} if late else {})}

    dataset = skate.data.range(100, override_num_blocks=5).map_batches(change, batch_size=None)
    for moved in (dataset.sort("id"), dataset.random_shuffle(), dataset.repartition(3, keys=["id"])):
        rows = sorted(moved.take_all(), key=lambda row: row["id"])
        assert [row["x"] for row in rows] == [i + 0.5 * (i >= 60) for i in range(100)]
        assert [row["s"] for row in rows] == [None] * 60 + ["a"] * 40
        assert [row["new"] for row in rows[59:61]] == [None, 60.5]


def test_cutting_and_pairing_over_the_disk(tiny: list[int]) -> None:
    table = table_of([(i % 7, float(i), "a") for i in range(300)])
    for make in (
        lambda: dataset_of(table).map_batches(lambda batch: batch).repartition(7),
        lambda: dataset_of(table).repartition(7),
        lambda: dataset_of(table).repartition(5, keys=["k"]),
        lambda: dataset_of(table).repartition(300, keys=["k", "n"], sort=True),  # of more parts than buckets
        lambda: dataset_of(table).zip(dataset_of(table, 3).map_batches(lambda batch: batch)),
        lambda: dataset_of(table).filter(lambda row: True).zip(dataset_of(table)),
        lambda: dataset_of(table).randomize_block_order(seed=3),
    ):
        over_disk, in_memory = both(make)
        assert over_disk == in_memory and len(over_disk) == 300
    thirds = dataset_of(table).map_batches(lambda batch: {"n": batch["n"][::3]}, batch_size=None)
    with pytest.raises(ValueError, match="different number of rows: 300, 100"):
        dataset_of(table).zip(thirds).take(1)
    with pytest.raises(ValueError, match="different number of rows: 100, 300"):
        thirds.zip(dataset_of(table)).take(1)


def test_nothing_is_left_on_the_disk(
    tiny: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dataset = dataset_of(table_of([(i % 5, float(i), "a") for i in range(2000)]))
    for row in dataset.sort("x").iter_rows():
        assert (
            list(tmp_path.iterdir()) == []
        )  # files have no names, and none are left when a loop is left early
        if row["n"] == 10:
            break
    assert any(tiny)


def test_a_full_disk_is_an_error(tiny: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc/no/such/folder")
    with pytest.raises(OSError, match="No such file"):
        dataset_of(table_of([(i, float(i), "a") for i in range(2000)])).random_shuffle().take_all()


@given(rows=st.integers(0, 3000), seed=st.integers(0, 9))
@settings(max_examples=10)
def test_a_shuffle_depends_on_places_and_not_on_blocks(rows: int, seed: int) -> None:
    whole = pl.DataFrame({"i": range(rows)}, schema={"i": pl.Int64})
    one = list(shuffle.shuffled(iter([whole]), 64 << 20, seed))
    pieces = iter([whole.slice(i, 700) for i in range(0, rows, 700)])
    many = list(shuffle.shuffled(pieces, 64 << 20, seed))
    got = [i for frame in one for i in frame["i"]]
    assert got == [i for frame in many for i in frame["i"]]
    assert sorted(got) == list(range(rows))


def test_the_limit_is_the_smallest_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = memory.limit()
    assert whole > 0
    monkeypatch.setattr("skate.data.execution.memory.resource.getrlimit", lambda kind: (1000, whole))
    assert memory.limit() == 1000
    monkeypatch.undo()
    assert 16 << 20 <= memory.budget() <= memory.limit()


def test_files_are_read_sparingly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of([(i % 7, float(i), "a" if i % 3 else None) for i in range(5000)])
    for number in range(2):
        pq.write_table(table.slice(number * 2500, 2500), tmp_path / f"{number}.parquet")
    monkeypatch.setattr(memory, "limit", lambda: 64)  # bytes: any file is large
    monkeypatch.setattr(native, "SMALL_BYTES", 64)
    monkeypatch.setattr(native, "_PIECE_BYTES", 1024 * 32)
    dataset = skate.data.read_parquet(str(tmp_path))
    assert dataset.take_all() == table.to_pylist()
    assert [row["n"] for row in dataset.select_columns(["n"]).limit(2600).take_all()] == list(range(2600))
    kept = dataset.filter(expr=(col("k") == 3) & (col("n") < 4000)).select_columns(["n", "s"])
    wanted = [row["n"] for row in table.to_pylist() if row["k"] == 3 and row["n"] < 4000]
    assert [row["n"] for row in kept.take_all()] == wanted
    assert dataset.sort("x", descending=True).take(1)[0]["n"] == 4999


def test_large_files_are_read_in_growing_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skate.data.range(50_000).write_parquet(str(tmp_path))
    monkeypatch.setattr(native, "SMALL_BYTES", 1000)
    sizes: list[int] = []

    def record(batch: dict[str, Any]) -> dict[str, Any]:
        sizes.append(len(batch["id"]))
        return {"id": batch["id"] * 2}

    dataset = skate.data.read_parquet(str(tmp_path)).map_batches(record)
    assert [row["id"] for row in dataset.iter_rows()] == [2 * i for i in range(50_000)]
    assert sizes and sizes[0] <= 50_000 // 16  # the first are done here, whatever becomes of the others
    pieces = [table.num_rows for table in native.from_table(pa.table({"a": range(10_000)})).growing()]
    assert pieces[0] < pieces[2] and sum(pieces) == 10_000
    assert [table.num_rows for table in native.from_table(pa.table({"a": []})).growing()] == [0]


def test_what_is_held_follows_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    columns = {"u": rng.permutation(200_000), **{name: rng.random(200_000) for name in "abcde"}}
    pq.write_table(pa.table(columns), tmp_path / "0.parquet")
    monkeypatch.setattr(memory, "limit", lambda: 8 << 20)
    monkeypatch.setattr(memory, "budget", lambda: 1 << 20)
    monkeypatch.setattr(native, "SMALL_BYTES", 1 << 20)
    pieces: list[int] = []
    held: list[int] = []
    deal, add = spill.Buckets.deal, spill.Buckets.add

    def dealt(self: spill.Buckets, frame: pl.DataFrame, numbers: Any) -> None:
        pieces.append(int(frame.estimated_size()))
        deal(self, frame, numbers)

    def added(self: spill.Buckets, index: int, frame: pl.DataFrame) -> None:
        add(self, index, frame)
        held.append(self._held)

    monkeypatch.setattr(spill.Buckets, "deal", dealt)
    monkeypatch.setattr(spill.Buckets, "add", added)
    data = skate.data.read_parquet(str(tmp_path))
    sums = data.groupby("u").aggregate(*(ag.Sum(name) for name in "abcde"))
    assert sum(batch.num_rows for batch in sums.iter_batches(batch_format="pyarrow")) == 200_000
    assert sum(pieces) > 8 << 20 and max(pieces) < 1 << 18 and max(held) <= 1 << 20
