"""Datasources of a program's own that leave out columns and rows while they read."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import skate.data
from skate.data.block import BlockMetadata
from skate.data.datasource.parquet import ParquetDatasource
from skate.data.expressions import col

TABLE = pa.table({"x": [1, 2, 3, 4], "y": [5, 6, 7, 8], "z": ["a", "b", "c", "d"]})


class Letters(skate.data.Datasource):
    """Notes what it was asked for each time it reads. It does not call the base class's constructor."""

    def __init__(self, columns: bool = True, rows: bool = True) -> None:
        self.can = (columns, rows)
        self.asked: list[tuple[list[str] | None, str | None]] = []

    def supports_projection_pushdown(self) -> bool:
        return self.can[0]

    def supports_predicate_pushdown(self) -> bool:
        return self.can[1]

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[skate.data.ReadTask]:
        predicate, columns = self.get_current_predicate(), self.get_projection_map()
        self.asked.append(
            (None if columns is None else sorted(columns), None if predicate is None else predicate.inline())
        )
        table = TABLE
        if predicate is not None:
            table = table.filter(predicate.to_pyarrow())
        if columns is not None:
            table = table.select(list(columns))
        return [skate.data.ReadTask(lambda: [table], BlockMetadata(None, None))]


def test_a_filter_runs_in_the_source_and_not_again() -> None:
    source = Letters()
    rows = skate.data.read_datasource(source).filter(expr=col("x") > 2).filter(expr=col("y") < 8)
    assert rows.take_all() == [{"x": 3, "y": 7, "z": "c"}]
    assert rows.count() == 1
    columns, predicate = source.asked[0]
    assert columns is None and predicate is not None and "x" in predicate and "y" in predicate


def test_columns_that_nothing_asks_for_are_not_read() -> None:
    source = Letters()
    dataset = skate.data.read_datasource(source)
    assert dataset.select_columns(["z", "x"]).take(1) == [{"z": "a", "x": 1}]
    assert source.asked[-1] == (["x", "z"], None)
    assert dataset.with_column("w", col("x") + col("y")).select_columns(["w"]).take(1) == [{"w": 6}]
    assert source.asked[-1][0] in (["x", "y"], None)
    assert dataset.filter(expr=col("x") == 2).select_columns(["y"]).take_all() == [{"y": 6}]
    assert source.asked[-1][1] is not None


def test_a_renamed_column_reaches_the_source_under_its_own_name() -> None:
    source = Letters()
    renamed = skate.data.read_datasource(source).rename_columns({"x": "w"})
    assert renamed.filter(expr=col("w") > 3).take_all() == [{"w": 4, "y": 8, "z": "d"}]
    predicate = source.asked[-1][1]
    assert predicate is not None and "x" in predicate and "w" not in predicate


@pytest.mark.parametrize(("columns", "rows"), [(False, False), (True, False), (False, True)])
def test_a_source_that_can_not_is_not_asked(columns: bool, rows: bool) -> None:
    source = Letters(columns, rows)
    dataset = skate.data.read_datasource(source).select_columns(["x", "y"]).filter(expr=col("x") > 3)
    assert dataset.take_all() == [{"x": 4, "y": 8}]
    assert (source.asked[-1][0] is not None, source.asked[-1][1] is not None) == (columns, rows)


def test_a_copy_knows_what_it_leaves_out() -> None:
    source = Letters()
    narrowed = source.apply_projection({"x": "other", "y": "y"}).apply_projection({"y": "y", "q": "q"})
    assert narrowed.get_projection_map() == {"y": "y"} and narrowed._get_data_columns() == ["y"]
    assert narrowed.apply_projection(None).get_projection_map() == {"y": "y"}
    filtered = source.apply_predicate(col("x") > 1).apply_predicate(col("x") < 9)
    predicate = filtered.get_current_predicate()
    assert predicate is not None and TABLE.filter(predicate.to_pyarrow()).num_rows == 3
    assert source.get_projection_map() is None and source.get_current_predicate() is None


def test_parquet_leaves_out_both(folder: str) -> None:
    skate.data.from_arrow(TABLE).write_parquet(folder)
    source = ParquetDatasource(folder, include_paths=True)
    assert source.supports_projection_pushdown() and source.supports_predicate_pushdown()
    narrowed = source.apply_projection({"x": "x", "path": "path"}).apply_predicate(col("x") > 2)
    assert narrowed.get_projection_map() == {"x": "x", "path": "path"}
    rows = skate.data.read_datasource(narrowed).take_all()
    assert [row["x"] for row in rows] == [3, 4] and set(rows[0]) == {"x", "path"}
    assert source.get_projection_map() is None
