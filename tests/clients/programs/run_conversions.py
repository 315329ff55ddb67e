"""Datasets from and to Daft, Spark, TensorFlow and JAX. Spark needs Java, and is left out where there is none."""

import shutil

import daft
import jax.numpy as jnp
import numpy as np
import ray
import ray.data
import tensorflow as tf

ray.init(num_cpus=2)
rows = [{"a": i, "b": float(i), "s": str(i)} for i in range(5)]
numbers = ray.data.from_items(rows)

lists = daft.from_pydict({"a": [1, 2], "s": ["x", None], "l": [[1], [2, 3]]})
assert ray.data.from_daft(lists).take_all() == [
    {"a": 1, "s": "x", "l": [1]},
    {"a": 2, "s": None, "l": [2, 3]},
]
assert numbers.to_daft().to_pydict() == {
    "a": [0, 1, 2, 3, 4],
    "b": [0.0, 1.0, 2.0, 3.0, 4.0],
    "s": list("01234"),
}

plain = numbers.drop_columns(["s"])
batches = list(plain.iter_jax_batches(batch_size=3, paddings=-1, dtypes={"b": jnp.float16}))
assert [batch["a"].tolist() for batch in batches] == [[0, 1, 2], [3, 4, -1]]
assert batches[0]["b"].dtype == jnp.float16
(doubled,) = plain.iter_jax_batches(batch_size=5, collate_fn=lambda batch: batch["a"] * 2)
assert doubled.tolist() == [0, 2, 4, 6, 8] and isinstance(doubled, jnp.ndarray)
assert plain.map_batches(lambda batch: {"z": jnp.asarray(batch["a"])}).sum("z") == 10

pairs = plain.to_tf(["a"], "b", batch_size=2)
assert [y.numpy().tolist() for _, y in pairs] == [[0.0, 1.0], [2.0, 3.0], [4.0]]
assert pairs.element_spec[0]["a"].dtype == tf.int64
ragged = ray.data.from_items([{"x": np.zeros(n + 1), "y": [1] * n} for n in range(3)])
shapes = [(x.shape.as_list(), y.shape.as_list()) for x, y in ragged.to_tf("x", "y", batch_size=2)]
assert shapes == [([2, None], [2, None]), ([1, None], [1, None])]
assert isinstance(ragged.to_tf("x", "y").element_spec[0], tf.RaggedTensorSpec)
assert ray.data.from_tf(tf.data.Dataset.from_tensor_slices({"x": [1, 2]})).take_all() == [{"x": 1}, {"x": 2}]
try:
    plain.to_tf("none", "b")
except ValueError as error:
    assert "no column named 'none'" in str(error)

if shutil.which("java"):
    from pyspark.sql import SparkSession

    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .getOrCreate()
    )
    frame = spark.createDataFrame([(1, "x", [1.0, 2.0]), (2, None, [])], ["a", "s", "l"])
    assert ray.data.from_spark(frame).take_all() == [
        {"a": 1, "s": "x", "l": [1.0, 2.0]},
        {"a": 2, "s": None, "l": []},
    ]
    assert ray.data.from_spark(frame, override_num_blocks=2).num_blocks() == 2
    assert [row.asDict() for row in numbers.to_spark(spark).collect()] == rows
    spark.stop()
print("ok")
