"""Sorting, grouping, joining and the like, held against DuckDB over generated tables."""

from __future__ import annotations

import itertools
import math
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skate.data
from skate.data import aggregate as ag
from skate.data.execution.bundle import Bundle
from skate.data.plan.logical import InputData

KEYS = st.one_of(st.none(), st.integers(-3, 3))
FLOATS = st.one_of(st.none(), st.floats(-100, 100, width=32), st.just(float("nan")))
TEXTS = st.one_of(st.none(), st.sampled_from(["", "a", "B", "ä", "日本", "a b"]))
ROWS = st.lists(st.tuples(KEYS, FLOATS, TEXTS), max_size=30)


def table_of(rows: list[tuple[Any, Any, Any]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    return pa.table(
        {
            "k": pa.array(columns[0], pa.int64()),
            "x": pa.array(columns[1], pa.float64()),
            "s": pa.array(columns[2], pa.string()),
        }
    )


def dataset_of(table: pa.Table, blocks: int = 3) -> skate.data.Dataset:
    """The table in several blocks, an empty one among them."""
    edges = [table.num_rows * i // blocks for i in range(blocks + 1)]
    parts = [table.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    return skate.data.MaterializedDataset(
        InputData((), tuple(Bundle(p) for p in [parts[0].slice(0, 0), *parts]))
    )


def query(sql: str, **tables: pa.Table) -> list[tuple[Any, ...]]:
    connection = duckdb.connect()
    for name, table in tables.items():
        connection.register(name, table)
    return connection.execute(sql).fetchall()


def plain(value: Any) -> Any:
    if isinstance(value, float):
        return "nan" if math.isnan(value) else round(value, 6)
    return value


def values(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(plain(value) for value in row.values()) for row in rows]


def same(ours: list[dict[str, Any]], theirs: list[tuple[Any, ...]]) -> None:
    expected = [tuple(plain(value) for value in row) for row in theirs]
    assert sorted(values(ours), key=repr) == sorted(expected, key=repr)


@given(ROWS, st.booleans())
@settings(max_examples=40)
def test_sort_puts_nulls_last_and_is_stable(rows: list[Any], descending: bool) -> None:
    table = table_of(rows).append_column("row", pa.array(range(len(rows)), pa.int64()))
    direction = "desc" if descending else "asc"
    ours = values(dataset_of(table).sort("k", descending=descending).take_all())
    theirs = query(f"select * from t order by k {direction} nulls last, row", t=table)
    assert ours == [tuple(plain(value) for value in row) for row in theirs]


@given(ROWS)
@settings(max_examples=30)
def test_sort_by_several_columns(rows: list[Any]) -> None:
    table = table_of(rows).drop_columns(["x"])
    ours = values(dataset_of(table).sort(["k", "s"], descending=[True, False]).take_all())
    theirs = query("select * from t order by k desc nulls last, s asc nulls last", t=table)
    assert ours == [tuple(row) for row in theirs]


def test_sorting_floats_puts_nan_after_numbers_in_both_directions() -> None:
    dataset = skate.data.from_items([{"x": v} for v in (1.0, None, float("nan"), 2.0)])
    for descending, numbers in ((False, [1.0, 2.0]), (True, [2.0, 1.0])):
        got = [row["x"] for row in dataset.sort("x", descending=descending).take_all()]
        assert got[:2] == numbers and math.isnan(got[2]) and got[3] is None


@given(ROWS)
@settings(max_examples=40)
def test_groups_are_counted_summed_and_averaged(rows: list[Any]) -> None:
    table = table_of([(k, None if x is None or math.isnan(x) else x, s) for k, x, s in rows])
    aggs = [ag.Count(), ag.Count("x", ignore_nulls=True), ag.Sum("x"), ag.Min("x"), ag.Max("s"), ag.Mean("x")]
    ours = dataset_of(table).groupby("k").aggregate(*aggs).take_all()
    theirs = query("select k, count(*), count(x), sum(x), min(x), max(s), avg(x) from t group by k", t=table)
    same(ours, theirs)


@given(ROWS)
@settings(max_examples=30)
def test_a_null_that_is_not_ignored_makes_the_result_null(rows: list[Any]) -> None:
    table = table_of([(k, None if x is None or math.isnan(x) else x, s) for k, x, s in rows])
    ours = dataset_of(table).groupby("k").sum("x", ignore_nulls=False).take_all()
    theirs = query("select k, case when count(x) = count(*) then sum(x) end from t group by k", t=table)
    same(ours, theirs)


@given(ROWS)
@settings(max_examples=30)
def test_standard_deviations_and_quantiles(rows: list[Any]) -> None:
    table = table_of([(k, x, s) for k, x, s in rows if x is not None and not math.isnan(x)])
    ours = dataset_of(table).groupby("k").aggregate(ag.Std("x", ddof=0), ag.Quantile("x", 0.25)).take_all()
    theirs = query("select k, stddev_pop(x), quantile_cont(x, 0.25) from t group by k", t=table)
    same(ours, theirs)


JOINS = {
    "inner": "select l.k, l.a, r.b from l join r on l.k = r.k",
    "left_outer": "select l.k, l.a, r.b from l left join r on l.k = r.k",
    "right_outer": "select l.a, r.k, r.b from l right join r on l.k = r.k",
    "full_outer": "select coalesce(l.k, r.k), l.a, r.b from l full join r on l.k = r.k",
    "left_semi": "select l.k, l.a from l semi join r on l.k = r.k",
    "left_anti": "select l.k, l.a from l where not exists (select 1 from r where r.k = l.k)",
    "right_semi": "select r.k, r.b from r semi join l on l.k = r.k",
    "right_anti": "select r.k, r.b from r where not exists (select 1 from l where r.k = l.k)",
}


@pytest.mark.parametrize("how", JOINS)
@given(left=ROWS, right=ROWS)
@settings(max_examples=15)
def test_joins(how: str, left: list[Any], right: list[Any]) -> None:
    l_table = table_of(left).drop_columns(["x"]).rename_columns(["k", "a"])
    r_table = table_of(right).drop_columns(["x"]).rename_columns(["k", "b"])
    ours = dataset_of(l_table).join(dataset_of(r_table), how, 2, on=("k",)).take_all()
    same(ours, query(JOINS[how], l=l_table, r=r_table))


def test_join_names_and_suffixes() -> None:
    left = skate.data.from_items([{"id": 1, "x": 1}, {"id": 2, "x": 2}])
    right = skate.data.from_items([{"rid": 2, "x": 5}])
    joined = left.join(right, "inner", 1, on=("id",), right_on=("rid",), left_suffix="_l")
    assert joined.take_all() == [{"id": 2, "x_l": 2, "x": 5}]
    with pytest.raises(ValueError, match="suffixes cannot be both None"):
        left.join(right, "inner", 1, on=("id",), right_on=("rid",)).take_all()
    with pytest.raises(ValueError, match="Invalid join type"):
        left.join(right, "cross", 1)
    with pytest.raises(ValueError, match="no such column"):
        left.join(right, "inner", 1, on=("id",)).take_all()


@given(ROWS)
@settings(max_examples=30)
def test_unique_keeps_the_order_of_first_appearance(rows: list[Any]) -> None:
    table = table_of(rows)
    assert dataset_of(table).unique("s") == list(dict.fromkeys(table.column("s").to_pylist()))


@given(ROWS, st.integers(0, 1000))
@settings(max_examples=20)
def test_random_shuffle_keeps_all_rows_and_obeys_its_seed(rows: list[Any], seed: int) -> None:
    dataset = dataset_of(table_of(rows))
    once, again = (values(dataset.random_shuffle(seed=seed).take_all()) for _ in range(2))
    assert once == again
    assert sorted(once, key=repr) == sorted(values(dataset.take_all()), key=repr)


def test_random_shuffle_without_a_seed_differs_each_time() -> None:
    orders = {tuple(row["id"] for row in skate.data.range(20).random_shuffle().take_all()) for _ in range(3)}
    assert len(orders) > 1


def test_tensors_and_objects_pass_through_the_native_engine() -> None:
    dataset = skate.data.range(4, override_num_blocks=2).map(
        lambda row: {"id": row["id"], "t": np.full((2, 2), row["id"]), "o": complex(1, row["id"])}
    )
    rows = dataset.sort("id", descending=True).take_all()
    assert [row["t"][0, 0] for row in rows] == [3, 2, 1, 0]
    assert rows[0]["o"] == complex(1, 3)
    joined = dataset.join(skate.data.range(2), "inner", 1, on=("id",)).sort("id").take_all()
    assert joined[1]["t"].tolist() == [[1, 1], [1, 1]]
    assert len(dataset.random_shuffle().take_all()) == 4


def test_types_survive_a_sort() -> None:
    table = pa.table(
        {
            "k": pa.array([2, 1], pa.int16()),
            "s": pa.array(["b", "a"], pa.large_string()),
            "d": pa.array(["x", "y"]).dictionary_encode(),
            "t": pa.array([1, 2], pa.timestamp("s", tz="Europe/Paris")),
            "n": pa.array([[1], [2, 3]], pa.list_(pa.int8())),
            "m": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
            "f": pa.array([b"ab", b"cd"], pa.binary(2)),
            "e": pa.array(["1.50", "2.25"]).cast(pa.decimal128(10, 2)),
        }
    )
    ordered = skate.data.from_arrow(table).sort("k").to_arrow()
    assert ordered.schema == table.schema
    assert ordered.to_pylist() == list(reversed(table.to_pylist()))


def test_groups_in_order_and_under_several_keys() -> None:
    rows = [{"a": i % 2, "b": i % 3, "v": i} for i in range(12)]
    grouped = skate.data.from_items(rows).groupby(["a", "b"]).sum("v").take_all()
    assert [(row["a"], row["b"]) for row in grouped] == [(a, b) for a in (0, 1) for b in (0, 1, 2)]


def test_a_missing_column_is_named_with_those_there_are() -> None:
    dataset = skate.data.from_items([{"k": 1, "v": 2}])
    for call in (
        lambda: dataset.groupby("z"),
        lambda: dataset.sort("z"),
        lambda: dataset.sum("z"),
        lambda: dataset.unique("z"),
        lambda: dataset.groupby("k").sum("z").take_all(),
    ):
        with pytest.raises(ValueError, match=r"no such column in the dataset.*\['k', 'v'\]"):
            call()


def test_text_can_not_be_summed() -> None:
    with pytest.raises(pa.ArrowNotImplementedError, match="must hold numbers"):
        skate.data.from_items([{"s": "a"}]).sum("s")


@pytest.mark.parametrize(
    ("agg", "expected"),
    [
        (ag.Sum("v"), None), (ag.Min("v"), 1.0), (ag.Max("v"), 1.0), (ag.Mean("v"), None), (ag.Std("v"), None),
        (ag.Count("v"), 2), (ag.MissingValuePercentage("v"), 50.0),
    ],
)  # fmt: skip
def test_aggregations_of_nan(agg: ag.AggregateFn, expected: Any) -> None:
    assert skate.data.from_items([{"v": float("nan")}, {"v": 1.0}]).aggregate(agg) == {agg.name: expected}


def test_every_aggregation_gives_its_result() -> None:
    dataset = skate.data.from_items([{"k": i % 2, "v": float(i)} for i in range(5)])
    result = dataset.aggregate(
        ag.Sum("v"), ag.Count(), ag.Quantile("v", q=0.5), ag.Unique("k"), ag.AbsMax("v"), ag.Std("v"),
        ag.MissingValuePercentage("v"), ag.ZeroPercentage("v"), ag.AsList("k"), ag.CountDistinct("k"),
        ag.ValueCounter("k"), ag.Min("v", alias_name="least"),
    )  # fmt: skip
    assert result == {
        "sum(v)": 10.0, "count()": 5, "quantile(v)": 2.0, "unique(k)": [0, 1], "abs_max(v)": 4.0,
        "std(v)": pytest.approx(1.5811388), "missing_pct(v)": 0.0, "zero_pct(v)": 20.0,
        "list(k)": [0, 1, 0, 1, 0], "count_distinct(k)": 2,
        "value_counter(k)": {"values": [0, 1], "counts": [3, 2]}, "least": 0.0,
    }  # fmt: skip


NATIVE = [
    ag.Sum("x"), ag.Min("x"), ag.Max("x"), ag.Mean("x"), ag.Std("x"), ag.AbsMax("x"), ag.Quantile("x"),
    ag.Count("x", ignore_nulls=True), ag.CountDistinct("x"), ag.ZeroPercentage("x"), ag.MissingValuePercentage("x"),
]  # fmt: skip


@pytest.mark.parametrize("agg", NATIVE, ids=lambda agg: agg.name)
@given(rows=ROWS)
@settings(max_examples=15)
def test_block_by_block_gives_what_the_native_engine_gives(agg: ag.AggregateFn, rows: list[Any]) -> None:
    from skate.data.execution.groups import aggregate_blocks

    table = table_of([(k, None if x is None or math.isnan(x) else x, s) for k, x, s in rows])
    native = values(dataset_of(table).groupby("k").aggregate(agg).take_all())
    by_block = aggregate_blocks(iter([table.slice(0, 7), table.slice(7)]), ("k",), [agg])
    assert values(by_block.to_pylist()) == native


def test_aggregations_of_ones_own() -> None:
    class Product(ag.AggregateFnV2[Any, Any]):
        def __init__(self, on: str) -> None:
            super().__init__(f"product({on})", lambda: 1, on=on, ignore_nulls=True)

        def aggregate_block(self, block: Any) -> Any:
            return math.prod(v for v in block.column(self.get_target_column()).to_pylist() if v is not None)

        def combine(self, current_accumulator: Any, new: Any) -> Any:
            return current_accumulator * new

        def finalize(self, accumulator: Any) -> Any:
            return float(accumulator)

    dataset = skate.data.from_items([{"k": i % 2, "v": i + 1} for i in range(5)])
    assert dataset.groupby("k").aggregate(Product("v")).take_all() == [
        {"k": 0, "product(v)": 15.0},
        {"k": 1, "product(v)": 8.0},
    ]
    rows = ag.AggregateFn(
        init=lambda key: [],
        accumulate_row=lambda a, row: [*a, row["v"]],
        merge=lambda a, b: a + b,
        name="all",
    )
    assert dataset.aggregate(rows, ag.Count()) == {"all": [1, 2, 3, 4, 5], "count()": 5}


def test_aggregations_of_one_name_are_told_apart() -> None:
    dataset = skate.data.from_items([{"k": 0, "v": 3}, {"k": 1, "v": 4}])
    twice = (ag.Count("v"), ag.Count("v"), ag.Sum("v", alias_name="count(v)_2"), ag.Count("v"))
    found = {"count(v)": 1, "count(v)_2": 1, "count(v)_2_2": 3, "count(v)_3": 1}
    assert dataset.groupby("k").aggregate(*twice).take(1) == [{"k": 0, **found}]
    assert dataset.aggregate(*twice, ag.ValueCounter("v"))["count(v)_2_2"] == 7  # block by block
    assert [agg.name for agg in twice[:2]] == ["count(v)"] * 2  # the user's own are left as they are
    with pytest.raises(ValueError, match="names a column twice"):
        dataset.groupby(["k", "k"])
    with pytest.raises(ValueError, match="An aggregation is called 'k', as a key is"):
        dataset.groupby("k").aggregate(ag.Sum("v", alias_name="k"))


def test_map_groups_sees_whole_groups_in_order() -> None:
    dataset = skate.data.range(10, override_num_blocks=5).map(
        lambda row: {"k": row["id"] % 3, "v": row["id"]}
    )

    def summary(group: dict[str, Any]) -> dict[str, Any]:
        return {"k": group["k"][:1], "values": [group["v"].tolist()]}

    assert dataset.groupby("k").map_groups(summary).take_all() == [
        {"k": 0, "values": [0, 3, 6, 9]},
        {"k": 1, "values": [1, 4, 7]},
        {"k": 2, "values": [2, 5, 8]},
    ]
    whole = dataset.groupby(None).map_groups(lambda group: {"n": [len(group["v"])]}).take_all()
    assert whole == [{"n": 10}]


def test_zip_union_and_limit() -> None:
    numbers = skate.data.range(4, override_num_blocks=2)
    doubled = skate.data.range(4, override_num_blocks=3).map(lambda row: {"id": row["id"] * 2, "y": 1})
    assert numbers.zip(doubled).take(2) == [{"id": 0, "id_1": 0, "y": 1}, {"id": 1, "id_1": 2, "y": 1}]
    with pytest.raises(ValueError, match="different number of rows: 4, 3"):
        numbers.zip(skate.data.range(3)).take_all()
    assert [row["id"] for row in numbers.union(numbers.limit(2)).take_all()] == [0, 1, 2, 3, 0, 1]
    assert numbers.limit(0).take_all() == [] and numbers.limit(0).columns() == ["id"]


def test_columns_are_told_where_a_row_of_each_input_is_not_enough() -> None:
    def doubled(batch: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        return {"twice": batch[next(iter(batch))] * 2}

    left = skate.data.from_items([{"k": 0, "a": 1}, {"k": 5, "a": 2}])
    right = skate.data.from_items([{"k": 9, "b": 1}, {"k": 5, "b": 2}])
    joined = left.join(right, "inner", 1, on=("k",))
    assert joined.map_batches(doubled).columns() == ["twice"]
    counted = skate.data.from_items([{"k": 1}, {"k": 2}, {"k": 2}]).groupby("k").count()
    several = counted.filter(lambda row: row["count()"] > 1)
    assert several.map_batches(doubled).columns() == ["twice"]
    assert several.filter(lambda row: False).columns() == ["k", "count()"]


def test_repartition_to_blocks_rows_and_keys() -> None:
    def sizes(dataset: skate.data.Dataset) -> list[int]:
        return [len(batch["id"]) for batch in dataset.iter_batches(batch_size=None)]

    numbers = skate.data.range(10, override_num_blocks=2)
    assert sizes(numbers.repartition(3)) == [3, 3, 4]
    assert sizes(numbers.repartition(target_num_rows_per_block=4, strict=True)) == [4, 4, 2]
    blocks = numbers.map(lambda row: {"id": row["id"] % 4}).repartition(3, keys=["id"]).materialize()
    assert blocks.num_blocks() == 3
    homes = [set(batch["id"].tolist()) for batch in blocks.iter_batches(batch_size=None)]
    assert sum(len(home) for home in homes) == 4
    with pytest.raises(ValueError, match="must be set"):
        numbers.repartition()


def test_sql_over_several_datasets() -> None:
    left = skate.data.from_items([{"k": 1, "v": 10}, {"k": 2, "v": 20}])
    right = skate.data.from_items([{"k": 2, "name": "two"}])
    got = left.sql("select name, v from this join other using (k)", other=right).take_all()
    assert got == [{"name": "two", "v": 20}]
    with pytest.raises(ValueError, match="sql"):
        left.sql("select nothing from nowhere").take_all()
