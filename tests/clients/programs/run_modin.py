"""Data frames of modin on its Ray engine give what pandas gives."""

import sys
import warnings

warnings.simplefilter("ignore")

import modin.config
import numpy as np
import pandas
import ray
from pandas.testing import assert_frame_equal as same

modin.config.Engine.put("ray")
import modin.pandas as pd

ray.init(num_cpus=2)
rng = np.random.default_rng(1)
rows = 20_000
table = pandas.DataFrame(
    {"key": rng.integers(0, 20, rows), "x": rng.normal(size=rows), "name": rng.choice(list("abc"), rows)}
)
path = f"{sys.argv[1]}/table.csv"
table.to_csv(path, index=False)
ours, theirs = pd.read_csv(path), pandas.read_csv(path)
same(ours._to_pandas(), theirs)
assert ours._query_compiler._modin_frame._partitions.shape[0] == 2, "one partition a CPU"

by_key = ours.groupby("key").sum(numeric_only=True)
same(by_key._to_pandas(), theirs.groupby("key").sum(numeric_only=True))
what = {"x": ["mean", "max"]}
same(ours.groupby(["key", "name"]).agg(what)._to_pandas(), theirs.groupby(["key", "name"]).agg(what))

weights = pandas.DataFrame({"key": range(20), "weight": np.linspace(0, 1, 20)})
same(ours.merge(pd.DataFrame(weights), on="key")._to_pandas(), theirs.merge(weights, on="key"))

doubled = ours[["key", "x"]].apply(lambda row: row["key"] * 2 + 1, axis=1)
assert (doubled._to_pandas().to_numpy() == theirs["key"].to_numpy() * 2.0 + 1).all()
same(ours.map(str)._to_pandas(), theirs.map(str))
same(ours.sort_values(["name", "x"]).head(50)._to_pandas(), theirs.sort_values(["name", "x"]).head(50))
pivot = {"index": "key", "columns": "name", "values": "x"}
same(ours.pivot_table(**pivot)._to_pandas(), theirs.pivot_table(**pivot))

try:
    ours["key"].apply(lambda key: 1 // (key - key)).sum()
except ZeroDivisionError as error:
    assert isinstance(error, ray.exceptions.RayTaskError)
    print("ok")
