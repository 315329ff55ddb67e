"""CSV and JSON as found in the wild: the right answer, or an error that says where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv

import skate.data
from skate.data.expressions import col

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfa,b\n1,x\n2,y\n",  # a mark of byte order
        b"a,b\r\n1,x\r\n2,y\r\n",
        b"a,b\n1,x\n\n\n2,y",  # empty lines, none at the end
        b'"a","b"\n"1","x"\n"2","y"\n',
    ],
)
def test_csv_that_is_only_untidy_reads_well(write: Write, content: bytes) -> None:
    assert skate.data.read_csv(write("f.csv", content)).take_all() == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_mixed_types_in_a_column_are_text(write: Write) -> None:
    path = write("f.csv", "a\n" + "".join(f"{i}\n" for i in range(200_000)) + "x\n")
    dataset = skate.data.read_csv(path)
    assert dataset.count() == 200_001
    assert dataset.schema().types == [pa.string()]  # type: ignore[union-attr]


def test_a_ragged_row_is_named_by_line(write: Write) -> None:
    path = write("f.csv", 'a,b\n1,"two\nlines"\n\n3\n4,5\n')
    options = {"parse_options": csv.ParseOptions(newlines_in_values=True)}
    with pytest.raises(ValueError, match=r"f\.csv: line 5: .*Expected 2 columns, got 1"):
        skate.data.read_csv(path, **options).take_all()
    skipped = skate.data.read_csv(path, on_bad_rows="skip", **options).take_all()
    assert skipped == [{"a": 1, "b": "two\nlines"}, {"a": 4, "b": "5"}]
    rows = skate.data.read_csv(path, on_bad_rows="collect", **options).take_all()
    (bad,) = [row["_bad_row"] for row in rows if row["_bad_row"] is not None]
    assert bad == {
        "path": path,
        "line": 5,
        "column": None,
        "text": "3",
        "reason": "Expected 2 columns, got 1",
    }


def test_a_value_of_another_type_is_named_by_line_and_column(write: Write) -> None:
    path = write("f.csv", "a,b\n1,x\n2,y\nthree,z\n4,\n")
    options = {"convert_options": csv.ConvertOptions(column_types={"a": pa.int64()})}
    with pytest.raises(ValueError, match=r"f\.csv: line 4, column 'a': .*invalid value 'three'"):
        skate.data.read_csv(path, **options).take_all()
    rows = skate.data.read_csv(path, on_bad_rows="collect", **options)
    good = rows.filter(expr=col("_bad_row").is_null()).drop_columns(["_bad_row"]).take_all()
    assert good == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 4, "b": ""}]
    bad = rows.filter(expr=col("_bad_row").is_not_null()).take_all()
    assert [row["_bad_row"] for row in bad] == [
        {"path": path, "line": 4, "column": "a", "text": "three,z", "reason": "not int64"}
    ]
    assert bad[0]["a"] is None


def test_bytes_that_are_no_text_are_named_by_line(write: Write) -> None:
    path = write("f.csv", "a,b\n1,x\n2,ä\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"f\.csv: line 3, column 'b': .*encoding='latin-1'"):
        skate.data.read_csv(path).take_all()
    right = skate.data.read_csv(path, read_options=csv.ReadOptions(encoding="latin-1"))
    assert right.take_all() == [{"a": 1, "b": "x"}, {"a": 2, "b": "ä"}]
    assert skate.data.read_csv(path, on_bad_rows="skip").take_all() == [{"a": 1, "b": "x"}]


def test_all_kinds_of_values_survive_where_bad_rows_are_left_out(write: Write) -> None:
    rows = ["i,f,b,d,t,s", "1,0.5,true,2024-01-02,2024-01-02 03:04:05,x", ",,,,,"]
    rows += ["2,1e3,FALSE,2024-02-03,2024-02-03 00:00:00,NA", "bad", ""]
    path = write("f.csv", "\n".join(rows))
    strict = write("g.csv", Path(path).read_text().removesuffix("bad\n"))
    assert skate.data.read_csv(path, on_bad_rows="skip").take_all() == skate.data.read_csv(strict).take_all()


def test_a_bad_row_beside_a_very_long_value(write: Write) -> None:
    path = write("f.csv", f"a,b\n1,{'x' * 200_000}\n2\n")
    with pytest.raises(ValueError, match=r"f\.csv: .*Expected 2 columns, got 1"):
        skate.data.read_csv(path).take_all()
    assert skate.data.read_csv(path, on_bad_rows="skip").count() == 1
    with pytest.raises(ValueError, match=r"f\.csv: field larger than field limit"):
        skate.data.read_csv(path, on_bad_rows="collect").take_all()


@pytest.mark.parametrize("block_size", range(100, 111))
def test_types_are_judged_by_whole_lines(write: Write, block_size: int) -> None:
    path = write("f.csv", "d\n" + "2024-01-02\n" * 30)
    options = csv.ReadOptions(block_size=block_size, use_threads=False)
    skipping = skate.data.read_csv(path, read_options=options, on_bad_rows="skip")
    assert skipping.schema().types == [pa.date32()]  # type: ignore[union-attr]
    assert skipping.count() == 30


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_has_no_rows_to_leave_out(write: Write, content: bytes) -> None:
    assert skate.data.read_csv(write("f.csv", content), on_bad_rows="skip").count() == 0


def test_an_unknown_policy_is_refused(write: Write) -> None:
    with pytest.raises(ValueError, match="on_bad_rows='drop': it must be one of 'error', 'skip', 'collect'"):
        skate.data.read_csv(write("f.csv", "a\n1\n"), on_bad_rows="drop")


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ('{"a": 1}\n\n{"a": \n{"a": 3}\n', r"line 3, column 7"),
        ('{"a": 1}\n[1, 2]\n', r"line 2, column 1: no object"),
        (b'{"a": 1}\n{"a": "\xe4"}\n', r"line 2, column 8: .*UTF-8"),
        ('[\n{"a": 1},\n{"a": }\n]', r"line 3, column 7"),
        ('[{"a": 1}, 5]', r"item 2 of the array is no object"),
    ],
)
def test_bad_json_is_named_by_line_and_column(write: Write, content: str | bytes, where: str) -> None:
    path = write("f.json", content)
    with pytest.raises(ValueError, match=rf"f\.json: {where}"):
        skate.data.read_json(path).take_all()


def test_the_rest_of_bad_json_is_read(write: Write) -> None:
    path = write("f.jsonl", '{"a": 1}\n{"a": \n{"a": 3}\n')
    assert skate.data.read_json(path, on_bad_rows="skip").take_all() == [{"a": 1}, {"a": 3}]
    rows = skate.data.read_json(path, on_bad_rows="collect").take_all()
    assert [row["a"] for row in rows] == [1, 3, None]
    assert rows[2]["_bad_row"] == {
        "path": path,
        "line": 2,
        "column": "7",
        "text": '{"a":',
        "reason": "Expecting value",
    }
    array = write("f.json", '[{"a": 1}, 5]')
    assert skate.data.read_json(array, on_bad_rows="skip").take_all() == [{"a": 1}]


@pytest.mark.parametrize(
    "content",
    [
        b'\xef\xbb\xbf{"a": 1}\n{"a": 2}\n',
        b'{"a": 1}\r\n{"a": 2}\r\n',
        b'[{"a": 1},\n {"a": 2}]',
        b'\n\n{"a": 1}\n{"a": 2}',
    ],
)
def test_json_that_is_only_untidy_reads_well(write: Write, content: bytes) -> None:
    assert skate.data.read_json(write("f.json", content)).take_all() == [{"a": 1}, {"a": 2}]


def test_one_object_on_several_lines_and_objects_without_keys(write: Write) -> None:
    pretty = write("f.json", json.dumps({"a": {"b": 2}}, indent=2))
    assert skate.data.read_json(pretty).take_all() == [{"a": {"b": 2}}]
    assert skate.data.read_json(write("g.json", "")).count() == 0


def test_large_json_is_read_piece_by_piece(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skate.data.datasource.json._CHUNK_BYTES", 1000)
    rows: list[dict[str, Any]] = [{"i": i, "s": "x" * (i % 70)} for i in range(500)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    assert skate.data.read_json(write("f.jsonl", lines)).take_all() == rows
    assert skate.data.read_json(write("g.json", json.dumps(rows))).take_all() == rows
    broken = write("h.jsonl", lines + "{\n")
    with pytest.raises(ValueError, match=r"h\.jsonl: line 501, column 2"):
        skate.data.read_json(broken).take_all()
