from __future__ import annotations

import functools
import io
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pytest

import skate.data
from skate.data.datasource.tfrecords import make_example, masked_crc, parse_example


def test_sql_goes_out_and_comes_back(tmp_path: Path) -> None:
    connect = functools.partial(sqlite3.connect, tmp_path / "movies.db")
    connection = connect()
    connection.execute("create table movie (title text, year integer, score real)")
    connection.close()
    rows = [{"title": "a", "year": 1975, "score": 8.2}, {"title": "b", "year": 1971, "score": None}]
    skate.data.from_items(rows).write_sql("insert into movie values (?, ?, ?)", connect)
    assert skate.data.read_sql("select * from movie order by title", connect).take_all() == rows
    some = skate.data.read_sql("select title from movie where year > ?", connect, sql_params=(1972,))
    assert some.take_all() == [{"title": "a"}]
    none = skate.data.read_sql("select title from movie where year > 3000", connect)
    assert none.take_all() == [] and none.columns() == ["title"]
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        skate.data.read_sql("select * from nowhere", connect).take_all()


def test_an_answer_is_divided_by_the_hash_of_a_key(tmp_path: Path) -> None:
    def connect() -> Any:
        connection = sqlite3.connect(":memory:")
        connection.create_function("MD5", 1, lambda value: value * 7)
        connection.create_function("MOD", 2, lambda a, b: a % b)
        return connection

    query = "select column1 as id from (values (1), (2), (3), (4))"
    dataset = skate.data.read_sql(query, connect, shard_keys=["id"], override_num_blocks=2)
    assert sorted(row["id"] for row in dataset.take_all()) == [1, 2, 3, 4]
    assert dataset.materialize().num_blocks() == 2


def test_a_failed_insert_keeps_nothing(tmp_path: Path) -> None:
    connect = functools.partial(sqlite3.connect, tmp_path / "t.db")
    connection = connect()
    connection.execute("create table t (x integer check (x < 3))")
    connection.close()
    with pytest.raises(sqlite3.IntegrityError):
        skate.data.range(5, override_num_blocks=1).write_sql("insert into t values (?)", connect)
    assert skate.data.read_sql("select * from t", connect).count() == 0
    with pytest.raises(ValueError, match="shard_keys must be provided when override_num_blocks > 1"):
        skate.data.read_sql("select * from t", connect, override_num_blocks=2)


def test_avro_comes_in(tmp_path: Path) -> None:
    schema = {
        "type": "record",
        "name": "r",
        "fields": [{"name": "x", "type": "long"}, {"name": "s", "type": "string"}],
    }
    records = [{"x": 1, "s": "a"}, {"x": 2, "s": "ä"}]
    with open(tmp_path / "f.avro", "wb") as file:
        fastavro.writer(file, schema, records)
    assert skate.data.read_avro(str(tmp_path)).take_all() == records
    (tmp_path / "g.avro").write_text("no avro")
    with pytest.raises(ValueError, match=r"g\.avro is no Avro file"):
        skate.data.read_avro(str(tmp_path / "g.avro")).take_all()


def archive(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_webdataset_samples_are_decoded_by_their_endings(tmp_path: Path) -> None:
    archive(tmp_path / "a.tar", {"0/x.cls": b"3", "0/x.txt": b"hi", "0/y.cls": b"4", "0/y.json": b'{"k": 1}'})
    url = str(tmp_path / "a.tar")
    rows = skate.data.read_webdataset(str(tmp_path)).take_all()
    assert rows == [
        {"__key__": "0/x", "cls": 3, "txt": "hi", "__url__": url, "json": None},
        {"__key__": "0/y", "cls": 4, "txt": None, "__url__": url, "json": {"k": 1}},
    ]
    raw = skate.data.read_webdataset(str(tmp_path), decoder=None, suffixes=["cls"]).take_all()
    assert raw == [
        {"__key__": "0/x", "cls": b"3", "__url__": url},
        {"__key__": "0/y", "cls": b"4", "__url__": url},
    ]
    expanded = skate.data.read_webdataset(str(tmp_path), expand_json=True, fileselect=["0/y.json"]).take_all()
    assert expanded == [{"__key__": "0/y", "json": {"k": 1}, "__url__": url, "k": 1}]


def test_webdataset_goes_out_and_comes_back(tmp_path: Path) -> None:
    rows = [
        {"__key__": str(i), "cls": i, "npy": np.arange(i + 1), "png": np.full((2, 2, 3), i, np.uint8)}
        for i in range(3)
    ]
    folder = str(tmp_path / "out")
    skate.data.from_items(rows, override_num_blocks=1).write_webdataset(folder)
    back = skate.data.read_webdataset(folder).take_all()
    assert [row["cls"] for row in back] == [0, 1, 2]
    assert back[2]["npy"].tolist() == [0, 1, 2] and back[1]["png"].tolist() == rows[1]["png"].tolist()
    (tmp_path / "x.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(ValueError, match=r"x\.tar is no tar archive"):
        skate.data.read_webdataset(str(tmp_path / "x.tar")).take_all()


def test_the_checksum_is_that_of_the_format() -> None:
    # CRC-32C of "123456789" is 0xE3069283, as RFC 3720 has it; the mask is the format's own.
    crc = 0xE3069283
    assert masked_crc(b"123456789") == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def test_an_example_is_the_message_that_protocol_buffers_make() -> None:
    message = bytes.fromhex(
        "0a0c0a0a0a016112051a030a0103"
    )  # Example{features{feature{key: "a" int64_list{3}}}}
    assert make_example({"a": 3}) == message
    assert parse_example(message) == {"a": [3]}
    unpacked = bytes.fromhex("0a0b0a090a016112041a020803")  # the same, written by one who does not pack
    assert parse_example(unpacked) == {"a": [3]}


def test_tfrecords_go_out_and_come_back(tmp_path: Path) -> None:
    rows = [
        {"i": -1, "x": 0.5, "b": b"\xff", "l": [1, 2], "e": None},
        {"i": 2**40, "x": 2.0, "b": b"", "l": [3], "e": None},
    ]
    folder = str(tmp_path / "out")
    skate.data.from_items(rows, override_num_blocks=1).write_tfrecords(folder)
    assert skate.data.read_tfrecords(folder).take_all() == rows
    (tmp_path / "bad.tfrecords").write_bytes(b"x" * 40)
    with pytest.raises(ValueError, match=r"bad\.tfrecords is no TFRecord file"):
        skate.data.read_tfrecords(str(tmp_path / "bad.tfrecords")).take_all()
    with pytest.raises(ValueError, match="'d' holds"):
        skate.data.from_items([{"d": {"k": 1}}]).write_tfrecords(folder)
