"""lightgbm_ray trains on actors; the model predicts as a serial one, and a killed actor is made again."""

import numpy as np
import ray
from lightgbm_ray import RayDMatrix, RayLGBMClassifier, RayParams, predict, train
from sklearn.datasets import load_breast_cancer

ray.init(num_cpus=2)
data, labels = load_breast_cancer(return_X_y=True)
matrix = RayDMatrix(data, labels)
params = RayParams(num_actors=2, cpus_per_actor=1, allow_less_than_two_cpus=True)
results = {}
booster = train(
    {"objective": "binary", "metric": ["binary_logloss", "binary_error"], "verbose": -1},
    matrix,
    num_boost_round=10,
    evals_result=results,
    valid_sets=[matrix],
    valid_names=["train"],
    ray_params=params,
)
errors = results["train"]["binary_error"]
assert errors[-1] < 0.05, errors
guesses = predict(booster.booster_, RayDMatrix(data), ray_params=params)
print((np.round(guesses) == labels).mean())
assert (np.round(guesses) == labels).mean() > 0.95
classifier = RayLGBMClassifier(n_estimators=5, random_state=0, n_jobs=2, verbose=-1)
classifier.fit(data, labels, ray_params=params)
assert classifier.score(data, labels) > 0.9
print("ok")
