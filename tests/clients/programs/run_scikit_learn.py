"""scikit-learn's grid search on joblib's "ray" backend gives what it gives serially."""

import joblib
import numpy as np
import ray
from ray.util.joblib import register_ray
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.svm import SVC

ray.init(num_cpus=2)
register_ray()
data, labels = make_classification(300, random_state=0)


def search():
    return GridSearchCV(SVC(), {"C": [0.1, 1, 10], "gamma": [0.01, 0.1]}, cv=4, n_jobs=2).fit(data, labels)


with joblib.parallel_backend("ray"):
    parallel = search()
    forest = RandomForestClassifier(20, random_state=0, n_jobs=2).fit(data, labels)
    scores = cross_val_score(forest, data, labels, cv=3, n_jobs=2)
with joblib.parallel_backend("sequential"):
    serial = search()
    same_forest = RandomForestClassifier(20, random_state=0).fit(data, labels)
    same_scores = cross_val_score(same_forest, data, labels, cv=3)
assert parallel.best_params_ == serial.best_params_
assert np.allclose(parallel.cv_results_["mean_test_score"], serial.cv_results_["mean_test_score"])
assert (forest.predict_proba(data) == same_forest.predict_proba(data)).all()
assert (scores == same_scores).all()
try:
    with joblib.parallel_backend("ray"):
        joblib.Parallel(n_jobs=2)(joblib.delayed(lambda x: 1 // x)(x) for x in [1, 0])
except ZeroDivisionError:
    print("ok")
