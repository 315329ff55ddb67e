"""joblib on a pool of actors."""

from __future__ import annotations

from typing import Any

import joblib as _joblib
import pytest

from tests.conformance.api import submodule

joblib: Any = _joblib  # its stubs do not know backends by their names
submodule("util.joblib").register_ray()


def invert(x: float) -> float:
    return 1 / x


@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_a_parallel_loop(n_jobs: int) -> None:
    with joblib.parallel_backend("ray", n_jobs=n_jobs):
        results = joblib.Parallel()(joblib.delayed(invert)(x) for x in range(1, 60))
    assert results == [1 / x for x in range(1, 60)]


def test_the_newer_spelling() -> None:
    with joblib.parallel_config("ray", n_jobs=2):
        assert joblib.Parallel()(joblib.delayed(pow)(x, 2) for x in range(3)) == [0, 1, 4]


@pytest.mark.parametrize("order", ["generator", "generator_unordered"])
def test_results_can_be_had_one_by_one(order: str) -> None:
    with joblib.parallel_config("ray", n_jobs=2):
        results = joblib.Parallel(return_as=order)(joblib.delayed(pow)(x, 2) for x in range(50))
        assert sorted(results) == [x * x for x in range(50)]
        failing = joblib.Parallel(return_as=order)(joblib.delayed(invert)(x) for x in [1, 0])
        with pytest.raises(ZeroDivisionError):
            list(failing)


def test_an_error_reaches_the_caller() -> None:
    with joblib.parallel_backend("ray", n_jobs=2), pytest.raises(ZeroDivisionError):
        joblib.Parallel()(joblib.delayed(invert)(x) for x in [1, 0, 1])


def test_options_of_the_actors() -> None:
    with joblib.parallel_backend("ray", n_jobs=2, ray_remote_args={"num_cpus": 0.5}):
        assert joblib.Parallel()(joblib.delayed(abs)(x) for x in [-1]) == [1]


def test_jobs_are_counted_by_the_session() -> None:
    backend: Any = submodule("util.joblib.ray_backend").RayBackend()
    assert [backend.effective_n_jobs(n) for n in (None, 1, 3, -1, -2, -9)] == [1, 1, 3, 2, 1, 1]
    with pytest.raises(ValueError, match="no meaning"):
        backend.effective_n_jobs(0)


def test_grid_search_of_scikit_learn() -> None:
    svm = pytest.importorskip("sklearn.svm")
    search = pytest.importorskip("sklearn.model_selection")
    points = [[x, y] for x in range(6) for y in range(6)]
    labels = [int(x > y) for x, y in points]
    model = search.GridSearchCV(svm.SVC(), {"C": [0.1, 10], "kernel": ["linear", "rbf"]}, cv=3)
    with joblib.parallel_backend("ray", n_jobs=2):
        model.fit(points, labels)
    assert model.best_params_["C"] == 10
    assert model.best_score_ > 0.8
