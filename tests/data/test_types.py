"""Decimals, nested types, times with zones, bytes and ragged tensors: sorted, grouped, joined and so on, held against DuckDB."""

from __future__ import annotations

import datetime as dt
import decimal
import itertools
import zoneinfo
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skate.data
from skate.data import aggregate as ag
from skate.data.execution import memory, shuffle
from skate.data.execution.bundle import Bundle
from skate.data.plan.logical import InputData

PARIS = zoneinfo.ZoneInfo("Europe/Paris")
DAY = dt.datetime(2024, 10, 27, tzinfo=dt.UTC)  # clocks in Paris go back at one o'clock

CENTS = st.one_of(st.none(), st.integers(-300, 300).map(lambda n: decimal.Decimal(n).scaleb(-2)))
MOMENTS = st.one_of(st.none(), st.integers(0, 8).map(lambda n: DAY + dt.timedelta(minutes=30 * n)))
DATES = st.one_of(st.none(), st.integers(0, 3).map(lambda n: dt.date(1969, 12, 30) + dt.timedelta(days=n)))
LISTS = st.one_of(st.none(), st.lists(st.one_of(st.none(), st.integers(0, 2)), max_size=2))
STRUCTS = st.one_of(
    st.none(),
    st.fixed_dictionaries({"a": st.one_of(st.none(), st.integers(0, 2)), "b": st.sampled_from(["", "ä"])}),
)
BYTES = st.one_of(st.none(), st.sampled_from([b"", b"\x00", b"\xff"]))
FLAGS = st.one_of(st.none(), st.booleans())

SCHEMA = pa.schema(
    [
        ("d", pa.decimal128(12, 2)),
        ("t", pa.timestamp("us", tz="Europe/Paris")),
        ("day", pa.date32()),
        ("l", pa.list_(pa.int64())),
        ("s", pa.struct([("a", pa.int64()), ("b", pa.string())])),
        ("y", pa.binary()),
        ("f", pa.bool_()),
    ]
)
ROWS = st.lists(st.tuples(CENTS, MOMENTS, DATES, LISTS, STRUCTS, BYTES, FLAGS), max_size=16)
SCALARS = ["d", "t", "day", "y", "f"]
KEYS = [*SCALARS, "s", "l"]


def table_of(rows: list[Any]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in SCHEMA]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.table(
        [*arrays, pa.array(range(len(rows)), pa.int64())], schema=SCHEMA.append(pa.field("n", pa.int64()))
    )


def dataset_of(table: pa.Table) -> skate.data.Dataset:
    """The table in three blocks, and one without rows."""
    edges = [table.num_rows * i // 3 for i in range(4)]
    parts = [table.slice(0, 0), *(table.slice(a, b - a) for a, b in itertools.pairwise(edges))]
    return skate.data.MaterializedDataset(InputData((), tuple(Bundle(part) for part in parts)))


@pytest.fixture(scope="module")
def duck() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set timezone = 'Europe/Paris'")
    return connection


def query(duck: duckdb.DuckDBPyConnection, sql: str, **tables: pa.Table) -> list[tuple[Any, ...]]:
    for name, table in tables.items():
        duck.register(name, table)
    return duck.execute(sql).fetchall()


def plain(value: Any) -> Any:
    """The value as DuckDB gives it: nested ones as lists and dicts, arrays as lists, moments in one zone."""
    if isinstance(value, np.ndarray):
        return [plain(part) for part in value.tolist()]
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).replace(tzinfo=None)
    return None if isinstance(value, float) and value != value else value


def rows_of(dataset: skate.data.Dataset) -> list[list[Any]]:
    return [plain(list(row.values())) for row in dataset.to_arrow().to_pylist()]


def same(ours: list[Any], theirs: list[Any]) -> None:
    assert sorted(map(repr, ours)) == sorted(repr(plain(row)) for row in theirs)


@given(rows=ROWS, key=st.sampled_from(SCALARS), down=st.booleans(), budget=st.sampled_from([64, 1 << 40]))
@settings(max_examples=25)
def test_sort(duck: duckdb.DuckDBPyConnection, rows: list[Any], key: str, down: bool, budget: int) -> None:
    table = table_of(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "budget", lambda: budget)
        ordered = dataset_of(table).sort(key, descending=down).to_arrow()
    order = query(duck, f"select n from t order by {key} {'desc' if down else 'asc'} nulls last, n", t=table)
    assert ordered.equals(table.take(pa.array([n for (n,) in order], pa.int64())))


@given(rows=ROWS, key=st.sampled_from(KEYS))
@settings(max_examples=25)
def test_groups(duck: duckdb.DuckDBPyConnection, rows: list[Any], key: str) -> None:
    table = table_of(rows)
    aggs = [
        ag.Count(),
        ag.Sum("d"),
        ag.Min("d"),
        ag.Max("t"),
        ag.Min("day"),
        ag.CountDistinct("y"),
        ag.AsList("n"),
    ]
    ours = dataset_of(table).groupby(key).aggregate(*aggs).to_arrow()
    assert ours.schema.field(key).type == table.schema.field(key).type
    theirs = query(
        duck,
        f"select {key}, count(*), sum(d), min(d), max(t), min(day), "
        f"count(distinct y), list(n order by n) from t group by {key}",
        t=table,
    )
    same([plain(list(row.values())) for row in ours.to_pylist()], theirs)


@given(
    left=ROWS,
    right=ROWS,
    key=st.sampled_from([*SCALARS, "s"]),
    how=st.sampled_from(["inner", "left_outer", "full_outer", "left_anti"]),
)
@settings(max_examples=25)
def test_joins(
    duck: duckdb.DuckDBPyConnection, left: list[Any], right: list[Any], key: str, how: str
) -> None:
    one, two = (
        table_of(left).select([key, "n", "l"]),
        table_of(right).select([key, "n"]).rename_columns([key, "m"]),
    )
    ours = rows_of(dataset_of(one).join(dataset_of(two), how, 2, on=(key,)))
    sql = {
        "inner": f"select l.{key}, l.n, l.l, r.m from l join r on l.{key} = r.{key}",
        "left_outer": f"select l.{key}, l.n, l.l, r.m from l left join r on l.{key} = r.{key}",
        "full_outer": f"select coalesce(l.{key}, r.{key}), l.n, l.l, r.m from l full join r on l.{key} = r.{key}",
        "left_anti": f"select l.* from l where not exists (select 1 from r where r.{key} = l.{key})",
    }
    same(ours, query(duck, sql[how], l=one, r=two))


@given(rows=ROWS, key=st.sampled_from(KEYS))
@settings(max_examples=12)
def test_unique_union_zip_and_repartition(duck: duckdb.DuckDBPyConnection, rows: list[Any], key: str) -> None:
    table = table_of(rows)
    dataset = dataset_of(table)
    same(
        [plain(value) for value in dataset.unique(key)],
        [row[0] for row in query(duck, f"select distinct {key} from t", t=table)],
    )
    double = dataset.union(dataset).to_arrow()
    assert double.equals(pa.concat_tables([table, table]).combine_chunks()) or not rows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "budget", lambda: 64)
        patch.setattr(shuffle, "budget", lambda: 64)
        zipped = dataset.zip(dataset.map_batches(lambda batch: batch, batch_format="pyarrow")).to_arrow()
        assert zipped.num_rows == len(rows)
        if rows:
            assert zipped.select(table.column_names).equals(table)
            assert zipped.column(f"{key}_1").equals(table.column(key))
        blocks = dataset.repartition(3, keys=[key]).materialize()
        assert blocks.num_blocks() == 3
        parts = blocks.iter_batches(batch_size=None, batch_format="pyarrow")
        homes = [{repr(value) for value in part.column(key).to_pylist()} for part in parts]
        assert sum(map(len, homes)) == len(set().union(*homes))
        assert sorted(n for (n,) in rows_of(blocks.select_columns(["n"]))) == list(range(len(rows)))
        assert sorted(n for (n,) in rows_of(dataset.random_shuffle().select_columns(["n"]))) == list(
            range(len(rows))
        )


SHAPES = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2), st.integers(0, 3)), min_size=1, max_size=8)


@given(shapes=SHAPES, budget=st.sampled_from([64, 1 << 40]))
@settings(max_examples=8)
def test_ragged_tensors(shapes: list[tuple[int, int, int]], budget: int) -> None:
    """They go where their row goes, whatever their shapes and however the blocks are cut."""

    def tensor(key: int, height: int, width: int) -> np.ndarray[Any, Any]:
        return np.full((height, width), key, dtype=np.float32)

    items = [{"k": k, "n": n, "x": tensor(k, h, w)} for n, (k, h, w) in enumerate(shapes)]
    expected = {n: (h, w) for n, (_, h, w) in enumerate(shapes)}

    def check(dataset: skate.data.Dataset) -> list[int]:
        found = dataset.take_all()
        for row in found:
            assert row["x"].shape == expected[row["n"]] and (row["x"] == row["k"]).all()
        return [row["n"] for row in found]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "budget", lambda: budget)
        patch.setattr(shuffle, "budget", lambda: budget)
        dataset = skate.data.from_items(items, override_num_blocks=min(3, len(items)))
        everything = list(range(len(items)))
        assert check(dataset.sort("k")) == sorted(everything, key=lambda n: shapes[n][0])
        assert sorted(check(dataset.random_shuffle(seed=1))) == everything
        assert sorted(check(dataset.repartition(2, keys=["k"]))) == everything
        assert check(dataset.repartition(3)) == everything
        assert check(dataset.union(dataset)) == everything * 2
        numbers = skate.data.from_items([{"m": n} for n in everything])
        assert check(numbers.zip(dataset)) == everything
        keys = skate.data.from_items([{"k": k} for k in {k for k, _, _ in shapes}])
        assert sorted(check(dataset.join(keys, "inner", 2, on=("k",)))) == everything
        lists = dataset.groupby("k").aggregate(ag.AsList("n")).take_all()
        assert sorted(n for row in lists for n in row["list(n)"]) == everything
