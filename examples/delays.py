"""From flights to a service: data prepared, a model tuned, trained on two workers, served in batches, and asked over HTTP.

Run it with ``make demo``, or ``python examples/delays.py --rows 20000 --trials 4`` for a smaller one.

Will a flight arrive late? The stages are

* prepare: the flights of 2013, joined with the weather at their origin, become features, which are written as Parquet (``data``);
* tune: a search tries parameters of XGBoost on a sample, and stops early what falls behind (``tune``);
* train: two workers grow the trees of one model together, with the parameters found, each reading its part (``train``);
* serve: two replicas take questions over HTTP, and answer those together that come close together (``serve``);
* ask: clients ask about flights that the model has not seen. Every answer must be the model's own.

Each stage is what another example shows at length. At the end a table says how long each took.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from serve_delays import CLIENTS, ask_all
from train_delays import NAMES, NUMBERS, SEED, WORKERS, load, loop, pipeline, save

import skate
from skate import data, serve, train, tune
from skate.train.xgboost import XGBoostTrainer
from skate.tune.schedulers import ASHAScheduler

if TYPE_CHECKING:
    import pandas as pd
    from starlette.requests import Request

FEATURES = [*NUMBERS, *NAMES]
SAMPLE = 20_000  # flights on which parameters are tried
ROUNDS = 30  # trees of a trial
STEP = 5  # trees between two looks at it


class Stages:
    """How long each stage took, and what came of it."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, str]] = []
        self.result = ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done inside, which leaves its result in words in `result`."""
        start = time.perf_counter()
        yield
        taken = time.perf_counter() - start
        self.rows.append((name, taken, self.result))
        print(f"{name}: {self.result}", flush=True)

    def table(self) -> str:
        """All stages, and their sum."""
        rows = [*self.rows, ("in all", sum(taken for _, taken, _ in self.rows), "")]
        return "\n".join(f"{name:10}{taken:8.1f} s   {what}".rstrip() for name, taken, what in rows)


# --- prepare ---


def prepare(rows: int | None, place: Path) -> tuple[dict[str, dict[str, int]], int]:
    """Write the features of flights to `place`/train and `place`/judge; returns the codes of names, and how many flights."""
    flights, weather = load(rows)
    codes = {name: {each: at for at, each in enumerate(sorted(flights[name].unique()))} for name in NAMES}
    for name, part in zip(("train", "judge"), pipeline(flights, weather, codes), strict=True):
        part.write_parquet(str(place / name))
    return codes, len(flights)


# --- tune ---


def trial(config: dict[str, Any], fit: pd.DataFrame, judge: pd.DataFrame) -> None:
    """Grow trees with given parameters, a few at a time, and report how well late flights are told from others."""
    import xgboost

    known, unknown = (xgboost.DMatrix(part[FEATURES], label=part["late"]) for part in (fit, judge))
    fixed = {"objective": "binary:logistic", "eval_metric": "auc", "tree_method": "hist", "nthread": 1}
    model = None
    for trees in range(STEP, ROUNDS + 1, STEP):
        scores: dict[str, Any] = {}
        model = xgboost.train(
            {**fixed, **config},
            known,
            STEP,
            evals=[(unknown, "judge")],
            evals_result=scores,
            verbose_eval=False,
            xgb_model=model,
        )
        tune.report({"auc": scores["judge"]["auc"][-1], "trees": trees})


def search(place: Path, trials: int) -> tuple[dict[str, Any], int]:
    """The best parameters of so many trials on a sample, and how many trees were grown for that."""
    fit, judge = (
        data.read_parquet(str(place / name)).random_shuffle(seed=SEED).limit(size).to_pandas()
        for name, size in (("train", SAMPLE), ("judge", SAMPLE // 4))
    )
    results = tune.Tuner(
        tune.with_parameters(trial, fit=fit, judge=judge),
        param_space={
            "eta": tune.loguniform(0.05, 0.5),
            "max_depth": tune.randint(4, 11),
            "min_child_weight": tune.loguniform(1, 50),
            "subsample": tune.uniform(0.6, 1.0),
            "lambda": tune.loguniform(0.1, 10),
        },
        tune_config=tune.TuneConfig(
            metric="auc",
            mode="max",
            num_samples=trials,
            search_alg=tune.create_searcher("optuna", seed=0),
            scheduler=ASHAScheduler(time_attr="trees", max_t=ROUNDS, grace_period=STEP, reduction_factor=3),
        ),
        run_config=tune.RunConfig(storage_path=str(place), name="search", verbose=0),
    ).fit()
    best = results.get_best_result()
    assert best.config is not None
    return best.config, sum(result.metrics["trees"] for result in results if result.metrics)


# --- train ---


def fit(params: dict[str, Any], rounds: int, place: Path) -> tuple[train.Checkpoint, float]:
    """Train on all of the flights; returns the best checkpoint, and how well it tells late flights from others."""
    result = XGBoostTrainer(
        loop,
        train_loop_config={"rounds": rounds, "params": params},
        scaling_config=train.ScalingConfig(num_workers=WORKERS),
        run_config=train.RunConfig(
            name="delays",
            storage_path=str(place),
            checkpoint_config=train.CheckpointConfig(num_to_keep=1, checkpoint_score_attribute="judge-auc"),
        ),
        datasets={name: data.read_parquet(str(place / name)) for name in ("train", "judge")},
    ).fit()
    best = result.get_best_checkpoint("judge-auc", "max")
    assert best is not None
    assert result.best_checkpoints is not None
    return best, max(metrics["judge-auc"] for _, metrics in result.best_checkpoints)


# --- serve ---


@serve.deployment(num_replicas=2, max_ongoing_requests=64)
class Late:
    """Says how likely a flight is late."""

    def __init__(self, folder: str) -> None:
        self.model = read_model(Path(folder))

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.005)
    async def together(self, rows: list[list[float]]) -> list[tuple[float, int]]:
        """One call of the model for all who ask now."""
        return [(chance, len(rows)) for chance in predict(self.model, np.array(rows))]

    async def __call__(self, request: Request) -> dict[str, float]:
        """Answer a client."""
        chance, batch = await self.together(await request.json())
        return {"late": chance, "batch": batch}


def read_model(folder: Path) -> Any:
    """The model that `save` has put there."""
    import xgboost

    facts = json.loads((folder / "features.json").read_text())
    model = xgboost.Booster(model_file=str(folder / facts["model"]))
    model.set_param({"nthread": 1})
    return model


def predict(model: Any, rows: np.ndarray) -> list[float]:
    """How likely each flight is late."""
    import xgboost

    chances: list[float] = model.predict(xgboost.DMatrix(rows, feature_names=FEATURES)).tolist()
    return chances


# --- the whole ---


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def main(
    rows: int | None = None, trials: int = 12, rounds: int = 40, questions: int = 2000, port: int = 0
) -> None:
    """Run all stages, and print how long each took."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # processes work side by side: none needs all cores
    stages = Stages()
    port = port or free_port()
    with (
        tempfile.TemporaryDirectory() as directory,
        skate.init(num_cpus=4, preload=["skate.serve.preload", "xgboost"]),
    ):
        place, out = Path(directory), Path(directory, "model")
        with stages.stage("prepare"):
            codes, number = prepare(rows, place)
            stages.result = f"{number:,} flights, {len(FEATURES)} features of each"
        with stages.stage("tune"):
            params, grown = search(place, trials)
            stages.result = (
                f"{trials} sets of parameters tried, {grown} of {trials * ROUNDS} trees grown for it"
            )
        with stages.stage("train"):
            checkpoint, score = fit(params, rounds, place)
            save(checkpoint, out, codes)
            stages.result = (
                f"{rounds} trees on {WORKERS} workers; late flights come first in {score:.1%} of pairs"
            )
        rest = data.read_parquet(str(place / "judge")).limit(questions).to_pandas()[FEATURES]
        asked = rest.to_numpy("float32", na_value=np.nan)
        with stages.stage("serve"):
            serve.start(http_options={"port": port})
            serve.run(Late.bind(str(out)))  # type: ignore[attr-defined]
            ask_all(port, "/", asked[:1])
            stages.result = "2 replicas, the first answer there"
        with stages.stage("ask"):
            answers, taken = ask_all(port, "/", asked)
            size = np.mean([answer["batch"] for answer in answers])
            stages.result = f"{len(answers)} questions of {CLIENTS} clients, {len(answers) / taken:.0f} a second, {size:.1f} in a batch"
        expected = predict(read_model(out), asked)
        serve.shutdown()
    np.testing.assert_allclose([answer["late"] for answer in answers], expected, rtol=1e-6)
    np.testing.assert_array_less(0.6, score, "the model has learnt next to nothing")
    print(f"\n{stages.table()}\n\nEvery answer is the model's own.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, help="flights to take; default: all")
    parser.add_argument("--trials", type=int, default=12, help="sets of parameters to try")
    parser.add_argument("--rounds", type=int, default=40, help="trees of the model")
    parser.add_argument("--questions", type=int, default=2000, help="how many flights clients ask about")
    parser.add_argument("--port", type=int, default=0, help="where it is served; default: a free one")
    main(**vars(parser.parse_args()))
