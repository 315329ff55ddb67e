"""Fugue's transforms and relational calls on its Ray engine give what they give without one."""

import sys

import fugue.api as fa
import numpy as np
import pandas as pd
import ray
from fugue_ray import RayDataFrame

ray.init(num_cpus=2)
rng = np.random.default_rng(1)
frame = pd.DataFrame(
    {"key": rng.integers(0, 10, 500), "x": rng.normal(size=500), "name": list("abcde") * 100}
)
weights = pd.DataFrame({"key": range(10), "weight": np.linspace(0, 1, 10)})
kinds = set()


def doubled(df: pd.DataFrame) -> pd.DataFrame:
    return df.assign(y=df["x"] * 2)


def largest(df: pd.DataFrame) -> pd.DataFrame:
    return df.nlargest(1, "x")


def broken(df: pd.DataFrame) -> pd.DataFrame:
    raise ZeroDivisionError("on purpose")


def plain(df: object, *by: str) -> pd.DataFrame:
    kinds.add(type(fa.as_fugue_df(df)))
    return fa.as_pandas(df).sort_values(list(by)).reset_index(drop=True)


def answers(path: str) -> list[pd.DataFrame]:
    made = [
        plain(fa.transform(frame, doubled, schema="*,y:double"), "key", "x"),
        plain(fa.transform(frame, largest, schema="*", partition={"by": "key"}), "key"),
        plain(fa.inner_join(frame, weights), "key", "x"),
        plain(fa.distinct(frame[["key", "name"]]), "key", "name"),
        plain(fa.take(frame, 2, presort="x desc", partition="key"), "key", "x"),
    ]
    fa.save(frame, path)
    made.append(plain(fa.load(path), "key", "x"))
    assert fa.count(fa.repartition(fa.as_fugue_df(frame), 4)) == 500
    return made


with fa.engine_context("ray"):
    ours = answers(f"{sys.argv[1]}/ours.parquet")
    assert RayDataFrame in kinds, kinds
    try:
        fa.as_pandas(fa.transform(frame, broken, schema="*"))
    except ray.exceptions.RayTaskError as error:
        raised = str(error)
with fa.engine_context("native"):
    theirs = answers(f"{sys.argv[1]}/theirs.parquet")
for one, two in zip(ours, theirs, strict=True):
    pd.testing.assert_frame_equal(one, two[list(one.columns)], check_dtype=False)
assert "ZeroDivisionError" in raised and "on purpose" in raised
print("ok")
