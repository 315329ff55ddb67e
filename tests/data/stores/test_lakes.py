from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import deltalake
import lance
import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog

import skate.data
from skate.data import SaveMode
from skate.data.expressions import col

ROWS: list[dict[str, Any]] = [
    {"id": 1, "k": "a b/%", "x": 0.5},
    {"id": 2, "k": None, "x": None},
    {"id": 3, "k": "c", "x": 2.0},
]


def by_id(dataset: skate.data.Dataset) -> list[dict[str, Any]]:
    return sorted(dataset.take_all(), key=lambda row: row["id"])


def test_delta_goes_out_and_comes_back(place: str) -> None:
    skate.data.from_items(ROWS, override_num_blocks=2).write_delta(place)
    assert by_id(skate.data.read_delta(place)) == ROWS
    assert deltalake.DeltaTable(place).version() == 0, "two blocks are one commit"
    skate.data.from_items([{"id": 4, "k": "d", "x": 1.0}]).write_delta(place)
    assert skate.data.read_delta(place).count() == 4
    assert skate.data.read_delta(place, version=0).count() == 3
    assert skate.data.read_delta(place, columns=["id"]).columns() == ["id"]
    skate.data.from_items([{"id": 9, "k": "z", "x": 9.0}]).write_delta(place, mode=SaveMode.OVERWRITE)
    assert [row["id"] for row in skate.data.read_delta(place).take_all()] == [9]


def test_delta_partitions_are_typed_and_take_any_text(place: str) -> None:
    day = datetime.date(2024, 5, 1)
    rows = [{**row, "day": day, "n": row["id"] % 2} for row in ROWS]
    skate.data.from_items(rows, override_num_blocks=1).write_delta(place, partition_by=["k", "day", "n"])
    assert by_id(skate.data.read_delta(place)) == [
        {name: row[name] for name in ("id", "k", "x", "day", "n")} for row in rows
    ]
    theirs = deltalake.DeltaTable(place).to_pyarrow_table().to_pylist()
    assert sorted((row["id"], row["k"], row["day"]) for row in theirs if row["k"]) == [
        (1, "a b/%", day),
        (3, "c", day),
    ]
    with pytest.raises(ValueError, match="partitioned by"):
        skate.data.from_items(rows).write_delta(place, partition_by=["n"])
    with pytest.raises(ValueError, match="missing partition column"):
        skate.data.from_items(ROWS).write_delta(place)


def test_delta_takes_new_columns_and_refuses_what_does_not_fit(place: str) -> None:
    skate.data.from_items([{"id": 1}]).write_delta(place)
    skate.data.from_items([{"id": 2, "new": "x"}]).write_delta(place)
    assert by_id(skate.data.read_delta(place)) == [{"id": 1, "new": None}, {"id": 2, "new": "x"}]
    with pytest.raises(ValueError, match="schema_mode='merge'"):
        skate.data.from_items([{"id": 3, "more": 1}]).write_delta(place, schema_mode="error")
    with pytest.raises(ValueError, match="column 'id' is string in the data and int64"):
        skate.data.from_items([{"id": "x"}]).write_delta(place)
    with pytest.raises(ValueError, match="already exists"):
        skate.data.from_items([{"id": 3}]).write_delta(place, mode=SaveMode.ERROR)
    skate.data.from_items([{"id": 3}]).write_delta(place, mode=SaveMode.IGNORE)
    assert skate.data.read_delta(place).count() == 2


def test_a_delta_write_that_fails_is_no_version(place: str) -> None:
    skate.data.from_items([{"id": 1}]).write_delta(place)

    def fail(row: dict[str, Any]) -> dict[str, Any]:
        if row["id"] == 3:
            raise KeyError("three")
        return row

    with pytest.raises(skate.data.exceptions.UserCodeException):
        skate.data.range(5, override_num_blocks=5).map(fail).write_delta(place)
    assert deltalake.DeltaTable(place).version() == 0
    assert skate.data.read_delta(place).count() == 1


@pytest.fixture
def catalog(tmp_path: Path) -> dict[str, Any]:
    options = {"type": "sql", "uri": f"sqlite:///{tmp_path}/catalog.db", "warehouse": f"file://{tmp_path}"}
    made = load_catalog("local", **options)
    made.create_namespace("ns")
    schema = pa.schema([("id", pa.int64()), ("k", pa.string()), ("x", pa.float64())])
    made.create_table("ns.t", schema)
    made.close()
    return {"name": "local", **options}


def test_iceberg_goes_out_and_comes_back(catalog: dict[str, Any]) -> None:
    skate.data.from_items(ROWS, override_num_blocks=2).write_iceberg("ns.t", catalog_kwargs=catalog)

    def read(**options: Any) -> list[dict[str, Any]]:
        return by_id(skate.data.read_iceberg(table_identifier="ns.t", catalog_kwargs=catalog, **options))

    assert read() == ROWS
    assert read(row_filter="id >= 2", selected_fields=("id",)) == [{"id": 2}, {"id": 3}]
    assert [row["id"] for row in read(row_filter=(col("id") < 2) | col("k").is_null())] == [1, 2]
    made = load_catalog(**catalog)
    first = made.load_table("ns.t").current_snapshot()
    made.close()
    assert first is not None
    skate.data.from_items([{"id": 7, "k": "n", "x": 1.0}]).write_iceberg("ns.t", catalog_kwargs=catalog)
    assert len(read()) == 4 and len(read(snapshot_id=first.snapshot_id)) == 3
    new = skate.data.from_items([{"id": 2, "k": "new", "x": 2.0}])
    new.write_iceberg(
        "ns.t", catalog_kwargs=catalog, mode=SaveMode.UPSERT, upsert_kwargs={"join_cols": ["id"]}
    )
    assert read()[1] == {"id": 2, "k": "new", "x": 2.0}
    new.write_iceberg("ns.t", catalog_kwargs=catalog, mode=SaveMode.OVERWRITE, overwrite_filter=col("id") > 1)
    assert [row["id"] for row in read()] == [1, 2]
    new.write_iceberg("ns.t", catalog_kwargs=catalog, mode=SaveMode.OVERWRITE)
    assert [row["id"] for row in read()] == [2]


def test_iceberg_refuses_arguments_of_another_mode(catalog: dict[str, Any]) -> None:
    rows = skate.data.from_items(ROWS)
    with pytest.raises(
        ValueError, match=r"upsert_kwargs can only be specified when mode is SaveMode\.UPSERT"
    ):
        rows.write_iceberg("ns.t", catalog_kwargs=catalog, upsert_kwargs={"join_cols": ["id"]})
    with pytest.raises(ValueError, match="no filter that Iceberg has"):
        skate.data.read_iceberg(table_identifier="ns.t", catalog_kwargs=catalog, row_filter=col("id") + 1 > 2)
    other = skate.data.from_items([{"id": 5, "k": "e", "x": 0.0, "added": True}])
    other.write_iceberg("ns.t", catalog_kwargs=catalog)
    back = skate.data.read_iceberg(table_identifier="ns.t", catalog_kwargs=catalog)
    assert back.take_all() == [{"id": 5, "k": "e", "x": 0.0, "added": True}]


def test_lance_goes_out_and_comes_back(place: str) -> None:
    dataset = skate.data.from_items(ROWS, override_num_blocks=3)
    dataset.write_lance(place, min_rows_per_file=1)
    assert by_id(skate.data.read_lance(place)) == ROWS
    assert len(lance.dataset(place).get_fragments()) == 3 and lance.dataset(place).version == 1
    read = skate.data.read_lance(place, columns=["id"], filter="x is not null", override_num_blocks=2)
    assert by_id(read) == [{"id": 1}, {"id": 3}]
    with pytest.raises(ValueError, match="already exists"):
        dataset.write_lance(place)
    skate.data.from_items([{"id": 4, "k": "d"}]).write_lance(place, mode=SaveMode.APPEND)
    assert by_id(skate.data.read_lance(place))[3] == {"id": 4, "k": "d", "x": None}
    assert skate.data.read_lance(place, version=1).count() == 3
    with pytest.raises(ValueError, match=r"columns not present in the target Lance schema: \['z'\]"):
        skate.data.from_items([{"id": 4, "z": 1}]).write_lance(place, mode=SaveMode.APPEND)
    dataset.write_lance(place, mode=SaveMode.OVERWRITE)
    assert skate.data.read_lance([place, place]).count() == 6
    with pytest.raises(ValueError, match="Unsupported Lance write mode"):
        dataset.write_lance(place, mode=SaveMode.IGNORE)
    with pytest.raises(ValueError, match="to append to"):
        dataset.write_lance(place + "-none", mode=SaveMode.APPEND)


@pytest.mark.parametrize("error", [OSError("permission denied"), ValueError("damaged")])
def test_a_lance_dataset_that_can_not_be_looked_at_is_not_overwritten(
    place: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    skate.data.range(2).write_lance(place)

    def refuse(*args: Any, **options: Any) -> Any:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(lance, "dataset", refuse)
        with pytest.raises(type(error), match=str(error)):
            skate.data.range(3).write_lance(place)
    assert skate.data.read_lance(place).count() == 2
