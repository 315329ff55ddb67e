"""`read_snowflake` and `write_snowflake` by Snowflake's own client, whose server fakesnow plays."""

import warnings

import fakesnow
import ray

warnings.simplefilter("ignore")
with fakesnow.patch():
    import snowflake.connector

    where = {"database": "D", "schema": "S", "user": "u", "account": "a"}
    snowflake.connector.connect(**where).cursor().execute("create table t (ID int, NAME varchar)")
    rows = [{"ID": 1, "NAME": "a"}, {"ID": 2, "NAME": None}]
    ray.data.from_items(rows).write_snowflake("t", where)
    assert ray.data.read_snowflake("select * from t order by ID", where).take_all() == rows
    assert (
        ray.data.read_snowflake("select * from t", where, shard_keys=["ID"], override_num_blocks=2).count()
        == 2
    )
print("ok")
