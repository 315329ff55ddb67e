"""How well searches search: `python -m benchmarks.tune.quality` writes benchmarks/tune/quality.md.

Each problem is searched with the same number of trials and the same seeds by the default of Skate Tune and by Optuna's own
`study.optimize`. What counts is the regret: how far the best value that was found is from the best that is known.

Then schedulers: how many iterations of training ASHA and population-based training need until they have a model as good as the best
of a random search that trains each of its models to the end.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.tune.problems import PROBLEMS, Problem

__all__ = ["main"]

_TABLE = Path(__file__).with_name("quality.md")
_STEPS = 27
_POPULATION = 8
_CLOSE = 0.02
"""How close to the target counts as there: one more digit that is wrong."""
_BAR = 0.5


def _space(tune: Any, problem: Problem) -> dict[str, Any]:
    space = {}
    for name, (low, high) in problem.bounds.items():
        if name in problem.whole:
            space[name] = tune.randint(int(low), int(high) + 1)
        else:
            space[name] = tune.loguniform(low, high) if name in problem.log else tune.uniform(low, high)
    return space


def _run(tune: Any, trainable: Any, space: dict[str, Any], **config: Any) -> list[float]:
    """Do a search; what its trials have reported, in the order in which they did."""
    values: list[float] = []

    class Record(tune.Callback):  # type: ignore[misc]  # the base is known at run time only
        def on_trial_result(self, **info: Any) -> None:
            values.append(float(info["result"]["value"]))

    with tempfile.TemporaryDirectory() as directory:
        tune.Tuner(
            trainable,
            param_space=space,
            tune_config=tune.TuneConfig(metric="value", mode="min", **config),
            run_config=tune.RunConfig(storage_path=directory, verbose=0, callbacks=[Record()]),
        ).fit()
    return values


def _ours(problem: Problem, seed: int) -> float:
    from skate import tune
    from skate.tune.impl.choose import default_searcher

    function = problem.function
    return min(
        _run(
            tune,
            lambda config: {"value": function(config)},
            _space(tune, problem),
            num_samples=problem.budget,
            search_alg=default_searcher(seed=seed),
            max_concurrent_trials=1,
        )
    )


def _theirs(problem: Problem, seed: int) -> float:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: Any) -> float:
        config = {}
        for name, (low, high) in problem.bounds.items():
            if name in problem.whole:
                config[name] = trial.suggest_int(name, int(low), int(high))
            else:
                config[name] = trial.suggest_float(name, low, high, log=name in problem.log)
        return problem.function(config)

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=problem.budget)
    return float(study.best_value)


def searchers() -> list[str]:
    """The table of regrets."""
    lines = [
        "| problem | trials | seeds | median regret, ours | Optuna's own | quartiles, ours | Optuna's own |",
        "|---|---|---|---|---|---|---|",
    ]
    for problem in PROBLEMS:
        seeds = range(problem.seeds)
        ours = [_ours(problem, seed) for seed in seeds]
        theirs = [_theirs(problem, seed) for seed in seeds]
        best = min([*ours, *theirs]) if problem.best is None else problem.best
        regrets = [[value - best for value in values] for values in (ours, theirs)]
        medians = [f"{statistics.median(each):.4g}" for each in regrets]
        quartiles = [_quartiles(each) for each in regrets]
        row = [problem.name, problem.budget, f"0 to {problem.seeds - 1}", *medians, *quartiles]
        lines.append(f"| {' | '.join(map(str, row))} |")
        print(lines[-1], flush=True)
    return lines


def _quartiles(values: list[float]) -> str:
    low, _, high = statistics.quantiles(values, n=4)
    return f"{low:.3g} to {high:.3g}"


def _learner(config: dict[str, Any]) -> None:
    """A linear model that learns the digits, an epoch a report; it goes on from a checkpoint."""
    import pickle

    from sklearn.datasets import load_digits
    from sklearn.linear_model import SGDClassifier

    from skate import tune

    pixels, labels = load_digits(return_X_y=True)
    pixels = pixels / 16.0
    checkpoint, epoch = tune.get_checkpoint(), 0
    model = SGDClassifier(loss="log_loss", learning_rate="constant", random_state=0, eta0=config["lr"])
    if checkpoint is not None:
        with checkpoint.as_directory() as place:
            model, epoch = pickle.loads(Path(place, "model").read_bytes())
    model.set_params(eta0=config["lr"], alpha=config["alpha"])
    while epoch < _STEPS:
        epoch += 1
        model.partial_fit(pixels[:1200], labels[:1200], classes=range(10))
        with tempfile.TemporaryDirectory() as place:
            Path(place, "model").write_bytes(pickle.dumps((model, epoch)))
            wrong = 1 - float(model.score(pixels[1200:], labels[1200:]))
            tune.report({"value": wrong}, checkpoint=tune.Checkpoint.from_directory(place))


def schedulers(seeds: int = 5, trials: int = 27) -> list[str]:
    """The table of iterations."""
    from skate import tune
    from skate.tune.schedulers import ASHAScheduler, PopulationBasedTraining
    from skate.tune.search import BasicVariantGenerator

    space = {"lr": tune.loguniform(1e-4, 1.0), "alpha": tune.loguniform(1e-6, 1e-1)}
    lines = [
        "| seed | target | random search, in all | until it was there | ASHA | share of all | PBT | share of all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    shares: dict[str, list[tuple[float, float]]] = {"ASHA": [], "PBT": []}
    for seed in range(seeds):
        full = _run(
            tune, _learner, space, num_samples=trials, search_alg=BasicVariantGenerator(random_state=seed)
        )
        target = min(full)
        whole = len(full)
        asha = _run(
            tune,
            _learner,
            space,
            num_samples=trials,
            search_alg=BasicVariantGenerator(random_state=seed),
            scheduler=ASHAScheduler(max_t=_STEPS, grace_period=1, reduction_factor=3),
        )
        pbt = _run(
            tune,
            _learner,
            space,
            num_samples=_POPULATION,
            search_alg=BasicVariantGenerator(random_state=seed),
            scheduler=PopulationBasedTraining(
                time_attr="training_iteration",
                perturbation_interval=3,
                hyperparam_mutations={"lr": tune.loguniform(1e-4, 1.0), "alpha": tune.loguniform(1e-6, 1e-1)},
            ),
        )
        there = _cost(full, target)
        row: list[Any] = [seed, f"{target:.4f}", whole, f"{there:g}"]
        for name, found in (("ASHA", asha), ("PBT", pbt)):
            spent = _cost(found, target * (1 + _CLOSE) + 1e-9)
            shares[name].append((spent / whole, spent / there))
            row += [f"{spent:g}", f"{spent / whole:.0%}"] if math.isfinite(spent) else ["not reached", ""]
        lines.append(f"| {' | '.join(map(str, row))} |")
        print(lines[-1], flush=True)
    lines += [
        "",
        f"The bar is less than half of random search's epochs; these are medians of {seeds} seeds:",
        "",
    ]
    for name, of_seeds in shares.items():
        of_all, of_there = (statistics.median(each) for each in zip(*of_seeds, strict=True))
        reached = sum(math.isfinite(share) for share, _ in of_seeds)
        lines.append(
            f"- {name} was there for {reached} of {seeds} seeds. Next to all epochs of random search it took "
            f"{_held(of_all)}; next to those until random search was there itself, {_held(of_there)}."
        )
    return lines


def _held(share: float) -> str:
    """A share of random search's epochs, and whether it is within the bar."""
    said = f"{share:.0%}" if math.isfinite(share) else "not reached"
    return f"{said} ({'held' if share < _BAR else 'missed'})"


def _cost(values: list[float], target: float) -> float:
    """Iterations of all trials until one had reached the target."""
    return next((float(number) for number, value in enumerate(values, start=1) if value <= target), math.inf)


_HEAD = """# How well searches search

Written by `python -m benchmarks.tune.quality`. The problems are in `problems.py`; every search has the seed of its row.

## Searchers

Regret is how far the best value found is from the best that is known, after the same number of trials, one after the other.

{searchers}

## Schedulers

A linear model learns handwritten digits, up to {steps} epochs a trial; the value is the share of digits that it gets wrong. A
random search trains {trials} sets of parameters to the end; its best value is the target. The columns of the schedulers count epochs of
all their trials until one has come within 2 % of it. PBT has a population of {population}.

{schedulers}
"""


def main() -> None:
    """Do all of it, and write the table."""
    import skate

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=_TABLE, help="the file that is written")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of the comparison of schedulers")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with skate.init(num_cpus=2, log_to_driver=False):
        text = _HEAD.format(
            searchers="\n".join(searchers()),
            schedulers="\n".join(schedulers(arguments.seeds)),
            steps=_STEPS,
            trials=27,
            population=_POPULATION,
        )
    arguments.out.write_text(text)


if __name__ == "__main__":
    main()
