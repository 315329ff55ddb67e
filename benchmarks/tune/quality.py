"""How well searches search: `python -m benchmarks.tune.quality` writes benchmarks/tune/quality.md.

Each problem is searched with the same number of trials and the same seeds by the default of Skate Tune and by Optuna's own
`study.optimize`. What counts is the regret: how far the best value that was found is from the best that is known.

Then schedulers, as `benchmarks.tune.schedulers` says.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.tune.learner import EPOCHS
from benchmarks.tune.problems import PROBLEMS, Problem
from benchmarks.tune.schedulers import BUDGET, POPULATION, TRIALS, table

__all__ = ["main"]

_TABLE = Path(__file__).with_name("quality.md")


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


_HEAD = """# How well searches search

Written by `python -m benchmarks.tune.quality`. The problems are in `problems.py`; every search has the seed of its row.

## Searchers

Regret is how far the best value found is from the best that is known, after the same number of trials, one after the other.

{searchers}

## Schedulers

A network with one hidden layer learns handwritten digits, an epoch a report, up to {epochs} epochs a trial; learning rate, friction
and weight decay are searched over orders of magnitude. The value is its loss on digits that it has not seen. A random search trains
{trials} sets of parameters to the end, one after the other: {budget} epochs, which is the budget of every search. The target is the
best loss of a random search, in the median of the seeds, and the same for all. The columns count the epochs of all trials until one
has reached it. ASHA runs one trial at a time; PBT has a population of {population}, and another one when the first has ended without
it. The row "expected" is the epochs that it takes in the mean, when a search that has spent its budget in vain is followed by another.

{schedulers}
"""


def main() -> None:
    """Do all of it, and write the table."""
    import skate

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=_TABLE, help="the file that is written")
    parser.add_argument("--seeds", type=int, default=15, help="seeds of the comparison of schedulers")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with skate.init(num_cpus=POPULATION, log_to_driver=False):
        text = _HEAD.format(
            searchers="\n".join(searchers()),
            schedulers="\n".join(table(arguments.seeds)),
            epochs=EPOCHS,
            trials=TRIALS,
            budget=BUDGET,
            population=POPULATION,
        )
    arguments.out.write_text(text)


if __name__ == "__main__":
    main()
