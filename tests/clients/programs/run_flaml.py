"""FLAML's searches, whose trials run on Ray, and its search algorithms under Ray's own Tuner."""

import sys

import ray
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
assert analysis.best_result["loss"] < loss({"x": 0, "n": 1})

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
assert len(results) == 20 and results.num_errors == 0 and best.metrics["loss"] < loss({"x": 0, "n": 1})
print("ok")
