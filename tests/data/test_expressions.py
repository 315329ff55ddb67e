from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skate.data
from skate.data import expressions as ex
from skate.data.datatype import DataType
from skate.data.expressions import Expr, col, lit, monotonically_increasing_id, star, udf, unnest
from skate.data.plan import evaluate, native
from skate.exceptions import UserCodeException

TABLE = pa.table(
    {
        "a": pa.array([7, -7], pa.int64()),
        "b": pa.array([2, 2], pa.int64()),
        "f": pa.array([1.5, float("nan")]),
        "s": pa.array(["Ab", None]),
        "n": pa.array([None, 3], pa.int64()),
        "l": pa.array([[3, 1, 2], []]),
        "t": pa.array(["2024-02-29T13:05:00", None]).cast(pa.timestamp("us")),
        "m": pa.array([{"x": 1, "y": "p"}, {"x": 2, "y": None}]),
    }
)


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        (col("a") + col("b"), [9, -5]),
        (1 - col("a"), [-6, 8]),
        (col("a") / col("b"), [3, -3]),
        (col("a") // col("b"), [3.0, -3.0]),
        (col("a") % col("b"), [1.0, -1.0]),
        (col("f") == col("f"), [True, False]),
        (col("f") > 1, [True, False]),
        ((col("n") > 1) & (col("a") > 0), [None, False]),
        ((col("n") > 1) | (col("a") > 0), [True, True]),
        (~(col("a") > 0), [False, True]),
        (col("a").is_in([7]), [True, False]),
        (col("a").not_in([7]), [False, True]),
        (col("n").is_null(), [True, False]),
        (col("n").is_not_null(), [False, True]),
        (col("n") + 1, [None, 4]),
        (col("s") + "x", ["Abx", None]),
        (lit("x") + col("s"), ["xAb", None]),
        (col("s").str.upper(), ["AB", None]),
        (col("s").str.len(), [2, None]),
        (col("s").str.contains("A"), [True, None]),
        (col("s").str.pad(4, "*", "left"), ["**Ab", None]),
        (col("s").str.repeat(2), ["AbAb", None]),
        (col("s").str.strip("A"), ["b", None]),
        (col("l").list.len(), [3, 0]),
        (col("l").list.sort(), [[1, 2, 3], []]),
        (col("l").list.get(-1), [2, None]),
        (col("l").list.slice(0, 2), [[3, 1], []]),
        (col("t").dt.year(), [2024, None]),
        (col("t").dt.strftime("%Y-%m"), ["2024-02", None]),
        (col("m").struct.field("x"), [1, 2]),
        (col("m").struct["y"], ["p", None]),
        (col("a").abs(), [7, 7]),
        (col("a").power(2), [49, 49]),
        (col("a").cast(DataType.float64()), [7.0, -7.0]),
        (lit(3), [3, 3]),
    ],
    ids=lambda value: value.inline() if isinstance(value, Expr) else "",
)
def test_expressions_compute(expr: Expr, expected: list[Any]) -> None:
    rows = skate.data.from_arrow(TABLE).with_column("r", expr).take_all()
    assert [row["r"] for row in rows] == expected


def test_expressions_print_as_trees_and_in_one_line() -> None:
    expr = (col("n") > 1) & (col("a") > 0)
    assert str(expr) == (
        "AND\n"
        "    ├── left: GT\n"
        "    │   ├── left: COL('n')\n"
        "    │   └── right: LIT(1)\n"
        "    └── right: GT\n"
        "        ├── left: COL('a')\n"
        "        └── right: LIT(0)"
    )
    assert expr.inline() == "(col('n') > 1) & (col('a') > 0)"
    assert "Filter((col('n') > 1) & (col('a') > 0))" in skate.data.range(1).filter(expr=expr)._plan.name


def test_equality_of_trees_is_asked_for_by_name() -> None:
    assert (col("a") + 1).structurally_equals(col("a") + 1)
    assert not (col("a") + 1).structurally_equals(col("a") + 2)
    assert not (col("a") + 1).structurally_equals(col("a") - 1)
    assert col("s").str.pad(3).structurally_equals(col("s").str.pad(3))
    assert not col("s").str.pad(3).structurally_equals(col("s").str.pad(5))
    with pytest.raises(TypeError, match="instead of and, or, not"):
        bool(col("a") == 1)


def test_functions_of_columns() -> None:
    @udf(return_dtype=DataType.int64())
    def plus(x: Any, amount: int = 1) -> Any:
        return pc.add(x, amount)

    @udf(return_dtype=DataType.int64())
    class Times:
        def __init__(self, factor: int) -> None:
            self.factor = factor

        def __call__(self, x: Any) -> Any:
            return pc.multiply(x, self.factor)

    rows = skate.data.range(2).with_columns({"p": plus(col("id"), amount=5), "t": Times(3)(col("id") + 1)})
    assert rows.take_all() == [{"id": 0, "p": 5, "t": 3}, {"id": 1, "p": 6, "t": 6}]


def test_a_function_that_gives_the_wrong_number_of_values_is_told() -> None:
    @udf(return_dtype=DataType.int64())
    def short(x: Any) -> Any:
        return x[:1]

    with pytest.raises(UserCodeException, match="1 values for 3 rows"):
        skate.data.range(3, override_num_blocks=1).with_column("y", short(col("id"))).take_all()


def test_star_unnest_and_row_numbers() -> None:
    dataset = skate.data.from_arrow(TABLE.select(["a", "m"]))
    assert dataset.with_columns(unnest(col("m"))).columns() == ["a", "m", "x", "y"]
    numbered = dataset.with_column("n", monotonically_increasing_id()).take_all()
    assert [row["n"] for row in numbered] == [0, 1]
    assert evaluate.project([star()], TABLE).column_names == TABLE.column_names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > 1", [7]), ("a > 1 and s == 'Ab'", [7]), ("not a > 1", [-7]), ("n is not None", [-7]),
        ("a in [7, 8]", [7]), ("-8 < a < 0", [-7]), ("is_null(n)", [7]), ("a + b == 9", [7]), ("m.x == 2", [-7]),
    ],
)  # fmt: skip
def test_filters_as_text(text: str, expected: list[int]) -> None:
    assert [row["a"] for row in skate.data.from_arrow(TABLE).filter(expr=text).take_all()] == expected


@pytest.mark.parametrize("text", ["a >", "import os", "s.startswith('A')", "open('x')", "lambda: 1"])
def test_text_that_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Invalid syntax|Unsupported"):
        skate.data.from_arrow(TABLE).filter(expr=text)


VALUES = st.one_of(st.none(), st.integers(-3, 3))
NUMBERS = st.one_of(st.none(), st.just(float("nan")), st.floats(-3, 3, width=16))
COMPARISONS = st.sampled_from(["__gt__", "__lt__", "__ge__", "__le__", "__eq__", "__ne__"])
LEAVES = st.sampled_from([col("i"), col("x"), lit(1), lit(0.5), col("u")])


@st.composite
def predicates(draw: st.DrawFn, depth: int = 2) -> Expr:
    if depth == 0 or draw(st.booleans()):
        left, right = draw(LEAVES), draw(LEAVES)
        if draw(st.booleans()):
            left = left + draw(LEAVES) if draw(st.booleans()) else left * draw(LEAVES)
        result: Expr = getattr(left, draw(COMPARISONS))(right)
        return result
    kind = draw(st.sampled_from(["and", "or", "not", "null", "in"]))
    if kind == "null":
        return col("x").is_null()
    if kind == "in":
        return col("i").is_in([1, 2])
    inner = draw(predicates(depth - 1))
    if kind == "not":
        return ~inner
    other = draw(predicates(depth - 1))
    return inner & other if kind == "and" else inner | other


@given(st.lists(st.tuples(VALUES, NUMBERS, st.integers(0, 250)), max_size=12), predicates())
@settings(max_examples=150)
def test_the_native_engine_computes_what_evaluate_says(rows: list[Any], predicate: Expr) -> None:
    columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    table = pa.table(
        {
            "i": pa.array(columns[0], pa.int64()),
            "x": pa.array(columns[1], pa.float64()),
            "u": pa.array(columns[2], pa.uint8()),
        }
    )
    frame = native.filtered(native.from_table(table), predicate)
    if frame is None:
        return
    expected = evaluate.keep(predicate, table)

    def plain(t: pa.Table) -> list[Any]:
        return [
            tuple("nan" if isinstance(v, float) and math.isnan(v) else v for v in r.values())
            for r in t.to_pylist()
        ]

    assert plain(frame.collect()) == plain(expected)


def test_filters_and_columns_are_pushed_into_the_reading(tmp_path: Path) -> None:
    pq.write_table(TABLE.select(["a", "b", "f"]), tmp_path / "t.parquet")
    dataset = skate.data.read_parquet(str(tmp_path)).filter(expr=col("a") > 0).select_columns(["b"])
    assert dataset.take_all() == [{"b": 2}]
    mapped = dataset.map_batches(lambda batch: {"names": [",".join(batch)]})
    assert mapped.take_all() == [{"names": "b"}]


def test_what_a_list_of_expressions_gives() -> None:
    pair = pa.struct([("x", pa.int32()), ("y", pa.string())])
    schema = pa.schema([("a", pa.int64()), ("b", pa.string()), ("s", pair)])
    renamed = col("a")._rename("z")
    assert ex.is_rename_expr(renamed) and not ex.is_rename_expr(col("a").alias("z"))
    found = ex.expand_star_exprs([star(), renamed, (col("a") + 1).alias("c")], schema)
    assert [expr.name for expr in found] == ["z", "b", "s", "c"]
    assert [expr.name for expr in ex.expand_projection_exprs([unnest(col("s"))], schema)] == ["x", "y"]
    assert isinstance(ex.expand_projection_exprs([star()], None)[0], ex.StarExpr)
    with pytest.raises(ValueError, match=r"unnest\(\) requires the struct type"):
        ex.expand_projection_exprs([unnest(col("s"))], None)
    fields = ex.exprlist_to_fields([star(), (col("a") + 1).alias("c"), col("b")._rename("bb")], schema)
    assert fields == [
        pa.field("a", pa.int64()),
        pa.field("bb", pa.string()),
        pa.field("s", pair),
        pa.field("c", pa.int64()),
    ]
    assert ex.exprlist_to_fields([col("none")], schema) is None
    assert repr(renamed) == "ALIAS('z') [rename]\n    └── COL('a')"
