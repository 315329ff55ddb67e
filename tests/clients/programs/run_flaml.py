"""FLAML's searches and its AutoML, whose trials run on Ray, and its search algorithms under Ray's own Tuner."""

import os
import sys

import numpy as np
import ray
from flaml import AutoML
from flaml import tune as flaml_tune
from flaml.tune.searcher.blendsearch import CFO
from ray import tune

ray.init(num_cpus=2)
space = {"x": flaml_tune.uniform(-10, 10), "n": flaml_tune.randint(1, 20)}


def loss(config):
    return (config["x"] - 3) ** 2 + abs(config["n"] - 5)


def evaluate(config):
    return {"loss": loss(config)}


analysis = flaml_tune.run(
    evaluate,
    config=space,
    metric="loss",
    mode="min",
    num_samples=20,
    use_ray=True,
    low_cost_partial_config={"n": 1},
    storage_path=sys.argv[1],
    verbose=0,
)
print("flaml.tune.run", analysis.best_config, analysis.best_result["loss"])
assert len(analysis.trials) == 20 and analysis.best_result["loss"] == loss(analysis.best_config)
assert analysis.best_result["loss"] == min(trial.last_result["loss"] for trial in analysis.trials)

results = tune.Tuner(
    lambda config: tune.report({"loss": loss(config)}),
    tune_config=tune.TuneConfig(
        search_alg=CFO(metric="loss", mode="min", space=dict(space), low_cost_partial_config={"n": 1}),
        num_samples=20,
    ),
    run_config=tune.RunConfig(storage_path=sys.argv[1], verbose=0),
).fit()
best = results.get_best_result("loss", "min")
print("CFO", best.config, best.metrics["loss"])
assert len(results) == 20 and results.num_errors == 0
assert best.metrics["loss"] == min(result.metrics["loss"] for result in results) == loss(best.config)

# AutoML: models of two kinds, two at a time, in trials.
draw = np.random.default_rng(1)
features = draw.normal(size=(300, 4))
labels = (features[:, 0] + features[:, 1] ** 2 > 0.5).astype(int)
automl = AutoML()
automl.fit(
    features,
    labels,
    task="classification",
    metric="accuracy",
    estimator_list=["lgbm", "rf"],
    time_budget=120,
    max_iter=8,
    n_concurrent_trials=2,
    use_ray=True,
    n_jobs=1,
    eval_method="holdout",
    seed=1,
    verbose=0,
    log_file_name=os.path.join(sys.argv[1], "automl.log"),
)
right = float((automl.predict(features) == labels).mean())
print("AutoML", automl.best_estimator, automl.best_config, automl.best_loss, right)
assert automl.best_estimator in ("lgbm", "rf") and right > 0.8
ray.shutdown()
print("ok")
