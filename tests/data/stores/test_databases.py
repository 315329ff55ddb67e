from __future__ import annotations

import datetime
import decimal
import functools
from typing import Any

import psycopg
import pyarrow as pa
import pymongo
import pytest

import skate.data
from skate.data.datasource.mongo import MongoDatasource


def run(address: str, *statements: str) -> None:
    with psycopg.connect(address) as connection:
        for statement in statements:
            connection.execute(statement)


def test_postgresql_goes_out_and_comes_back(postgres: str) -> None:
    connect = functools.partial(psycopg.connect, postgres)
    run(postgres, "drop table if exists m", "create table m (id int, t text, d date, n numeric(8,2), b bool)")
    day, price = datetime.date(2024, 2, 29), decimal.Decimal("12.50")
    rows = [
        {"id": 1, "t": "ä'\"", "d": day, "n": price, "b": True},
        {"id": 2, "t": None, "d": None, "n": None, "b": None},
    ]
    skate.data.from_items(rows).write_sql("insert into m values (%s, %s, %s, %s, %s)", connect)
    assert skate.data.read_sql("select * from m order by id", connect).take_all() == rows
    some = skate.data.read_sql("select id from m where t = %s", connect, sql_params=("ä'\"",))
    assert some.take_all() == [{"id": 1}]
    with pytest.raises(psycopg.errors.UndefinedTable, match="nowhere"):
        skate.data.read_sql("select * from nowhere", connect).take_all()


def test_an_answer_of_postgresql_is_divided_by_a_hash(postgres: str) -> None:
    connect = functools.partial(psycopg.connect, postgres)
    run(
        postgres,
        "drop table if exists s",
        "create table s as select i as id, case when i % 10 > 0 then i::text end as k from generate_series(1, 1000) i",
    )
    by_key = skate.data.read_sql(
        "select * from s", connect, shard_keys=["k"], shard_hash_fn="hashtext", override_num_blocks=4
    ).materialize()
    sizes = [len(batch["id"]) for batch in by_key.iter_batches(batch_size=None)]
    assert len(sizes) == 4 and sum(sizes) == 1000, "rows whose key is null are not lost"
    assert by_key.sum("id") == 500_500
    text_hash = skate.data.read_sql("select * from s", connect, shard_keys=["k"], override_num_blocks=4)
    assert text_hash.count() == 1000, "MD5 gives text here, which no part can be made of: one task reads all"
    both = skate.data.read_sql(
        "select * from s", connect, shard_keys=["id", "k"], shard_hash_fn="hashtext", override_num_blocks=3
    )
    assert both.count() == 1000 and both.materialize().num_blocks() == 3


def test_an_insert_that_fails_keeps_nothing_of_its_task(postgres: str) -> None:
    run(postgres, "drop table if exists c", "create table c (x int check (x < 3))")
    connect = functools.partial(psycopg.connect, postgres)
    with pytest.raises(psycopg.errors.CheckViolation):
        skate.data.range(5, override_num_blocks=1).write_sql("insert into c values (%s)", connect)
    assert skate.data.read_sql("select * from c", connect).count() == 0


def test_mongo_goes_out_and_comes_back(mongo: str) -> None:
    client: Any
    with pymongo.MongoClient(mongo) as client:
        client.shop.things.insert_one({"_id": 0, "n": 1, "tags": ["a"], "deep": {"x": 1.5}})
    skate.data.from_items([{"_id": i, "n": i * 2} for i in range(1, 5)]).write_mongo(mongo, "shop", "things")
    read = skate.data.read_mongo(mongo, "shop", "things", override_num_blocks=2)
    rows = sorted(read.take_all(), key=lambda row: row["_id"])
    assert [row["n"] for row in rows] == [1, 2, 4, 6, 8] and rows[0]["deep"] == {"x": 1.5}
    assert read.materialize().num_blocks() == 2
    pipeline: list[dict[str, Any]] = [{"$match": {"n": {"$gt": 3}}}, {"$project": {"n": 1, "_id": 0}}]
    assert sorted(
        row["n"] for row in skate.data.read_mongo(mongo, "shop", "things", pipeline=pipeline).take_all()
    ) == [4, 6, 8]
    typed = skate.data.read_mongo(mongo, "shop", "things", schema=pa.schema([("n", pa.float32())]))
    assert typed.schema().types == [pa.float32()]  # type: ignore[union-attr]
    skate.data.from_items([{"n": 7}]).write_mongo(mongo, "shop", "things")
    made = skate.data.read_mongo(mongo, "shop", "things", pipeline=[{"$match": {"n": 7}}]).take(1)[0]
    assert isinstance(made["_id"], bytes) and len(made["_id"]) == 12
    for database, collection in (("nowhere", "things"), ("shop", "nothing")):
        with pytest.raises(ValueError, match="doesn't exist"):
            skate.data.from_items([{"n": 1}]).write_mongo(mongo, database, collection)
        with pytest.raises(ValueError, match="doesn't exist"):
            skate.data.read_mongo(mongo, database, collection).take_all()


def test_mongo_keys_that_the_sample_missed_are_read(mongo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [1, 2, "a", 3, 4, "b", 5]
    with pymongo.MongoClient[dict[str, Any]](mongo) as client:
        client.shop.mixed.insert_many([{"_id": key, "n": 1} for key in keys])
    monkeypatch.setattr(MongoDatasource, "_bounds", lambda self, collection, parts: [2, 4])
    read = skate.data.read_mongo(
        mongo, "shop", "mixed", schema=pa.schema([("n", pa.int64())]), override_num_blocks=3
    )
    assert read.sum("n") == len(keys)
