"""Hierarchical classifiers of hiclass train their local classifiers on Ray, with the serial result."""

import numpy as np
import ray
from hiclass import LocalClassifierPerLevel, LocalClassifierPerNode, LocalClassifierPerParentNode
from sklearn.linear_model import LogisticRegression

ray.init(num_cpus=2)
rng = np.random.default_rng(0)
animals = {
    "cat": ("animal", "mammal"),
    "dog": ("animal", "mammal"),
    "snake": ("animal", "reptile"),
    "oak": ("plant", "tree"),
}
names = rng.choice(list(animals), 200)
points = rng.normal(size=(200, 3)) * 0.1 + np.array([[list(animals).index(name), 1, 0] for name in names])
targets = np.array([[*animals[name], name] for name in names])
for kind in (LocalClassifierPerParentNode, LocalClassifierPerNode, LocalClassifierPerLevel):
    parallel = kind(local_classifier=LogisticRegression(), n_jobs=2).fit(points, targets)
    serial = kind(local_classifier=LogisticRegression(), n_jobs=1).fit(points, targets)
    assert (parallel.predict(points) == serial.predict(points)).all()
    print(kind.__name__, (parallel.predict(points) == targets).all(axis=1).mean())
print("ok")
