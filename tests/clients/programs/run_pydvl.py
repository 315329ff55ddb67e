"""Data valuation with pyDVL, its futures on Ray and its joblib loops on the "ray" backend."""

import warnings

warnings.simplefilter("ignore")
import joblib
import numpy as np
import ray
from pydvl.parallel.config import ParallelConfig
from pydvl.parallel.futures import init_executor
from pydvl.valuation import Dataset, LOOValuation, ModelUtility, SupervisedScorer
from ray.util.joblib import register_ray
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

ray.init(num_cpus=2)


with init_executor(max_workers=2, config=ParallelConfig(backend="ray")) as executor:
    futures = [executor.submit(lambda x: x * x, x) for x in range(8)]
    assert [future.result() for future in futures] == [x * x for x in range(8)]
    assert list(executor.map(lambda x: abs(x), [-1, 2, -3])) == [1, 2, 3]
    failing = executor.submit(lambda x: 1 // x, 0)
    try:
        failing.result()
    except ZeroDivisionError:
        print("the error came back")

data, labels = make_classification(60, n_features=5, random_state=0)
train, test = Dataset.from_arrays(data, labels, train_size=0.6, random_state=0)
utility = ModelUtility(LogisticRegression(), SupervisedScorer("accuracy", test, default=0.0))
register_ray()
with joblib.parallel_config(backend="ray", n_jobs=2):
    parallel = LOOValuation(utility).fit(train).result
with joblib.parallel_config(backend="loky", n_jobs=1):
    serial = LOOValuation(utility).fit(train).result
assert np.allclose(sorted(parallel.values), sorted(serial.values))
print("ok")
