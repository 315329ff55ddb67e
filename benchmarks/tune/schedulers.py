"""How much training schedulers need until they have a good model, next to random search.

What counts is the number of epochs that all trials of a method train until one of them has a loss of at most the target. Random search
trains each set of parameters to the end, one after the other, so that it wastes none on others that run beside the one that gets there.
The target is what random search gets for its whole budget, in the median of all seeds: it does not hang on the luck of one of them.
"""

from __future__ import annotations

import math
import random
import statistics
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.tune.learner import EPOCHS, SPACE, learn
from skate import tune
from skate.tune.schedulers import ASHAScheduler, PopulationBasedTraining
from skate.tune.search import BasicVariantGenerator

__all__ = ["BUDGET", "METHODS", "POPULATION", "TRIALS", "lines_of", "losses", "median_best", "table"]

TRIALS = 27
"""The trials of a random search."""
POPULATION = 9
"""The trials of a population; they train at the same time."""
BUDGET = TRIALS * EPOCHS
"""The epochs that a search may take."""
_BAR = 0.5


class _Watch(tune.Stopper):
    """Counts epochs, and ends a search that has reached the target or spent its budget.

    Args:
        target: The loss to reach.
        budget: The epochs that there are.
    """

    def __init__(self, target: float, budget: int) -> None:
        self.losses: list[float] = []
        self._target, self._budget = target, budget

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        if not self.stop_all():  # a report of a trial that ran beside the last one is not counted
            self.losses.append(float(result["loss"]))
        return False

    def stop_all(self) -> bool:
        return self.there or len(self.losses) >= self._budget

    @property
    def there(self) -> bool:
        return bool(self.losses) and self.losses[-1] <= self._target


def _search(seed: int, watch: _Watch, **config: Any) -> None:
    with tempfile.TemporaryDirectory() as directory:
        tune.Tuner(
            learn,
            param_space=_space(),
            tune_config=tune.TuneConfig(
                metric="loss", mode="min", search_alg=BasicVariantGenerator(random_state=seed), **config
            ),
            run_config=tune.RunConfig(storage_path=directory, verbose=0, stop=watch),
        ).fit()


def _space() -> dict[str, Any]:
    return {name: tune.loguniform(low, high) for name, (low, high) in SPACE.items()}


def _random(seed: int, watch: _Watch) -> None:
    _search(seed, watch, num_samples=TRIALS, max_concurrent_trials=1)


def _asha(seed: int, watch: _Watch) -> None:
    scheduler = ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=3)
    _search(seed, watch, num_samples=BUDGET, max_concurrent_trials=1, scheduler=scheduler)


def _pbt(seed: int, watch: _Watch) -> None:
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration", perturbation_interval=3, hyperparam_mutations=_space()
    )
    _search(seed, watch, num_samples=POPULATION, scheduler=scheduler)


def losses(method: str, seed: int, target: float) -> list[float]:
    """The loss after each epoch of a search, until the target is reached or the budget is spent.

    A population that has trained to its end without it is followed by another one.

    Args:
        method: One of `METHODS`.
        seed: What is drawn hangs on it alone.
        target: The loss to reach; minus infinity: spend the whole budget.
    """
    random.seed(seed)
    np.random.seed(seed)
    found: list[float] = []
    while len(found) < BUDGET and not (found and found[-1] <= target):
        watch = _Watch(target, BUDGET - len(found))
        METHODS[method](seed + 1000 * len(found), watch)
        found += watch.losses
    return found


METHODS: dict[str, Callable[[int, _Watch], None]] = {"random search": _random, "ASHA": _asha, "PBT": _pbt}


def table(seeds: int) -> list[str]:
    """Search with every method for each seed, in a session with `POPULATION` CPUs.

    Args:
        seeds: How many seeds: 0, 1, …

    Returns:
        The lines of the table, and what they come to.
    """
    full = [losses("random search", seed, -math.inf) for seed in range(seeds)]
    target = median_best(full)
    found = {"random search": full}
    for method in ("ASHA", "PBT"):
        found[method] = [losses(method, seed, target) for seed in range(seeds)]
    return lines_of(found, target)


def median_best(full: list[list[float]]) -> float:
    """The best loss of whole random searches, in the median (the better one of two in the middle)."""
    return statistics.median_low(min(each) for each in full)


def lines_of(found: dict[str, list[list[float]]], target: float) -> list[str]:
    """The lines of the table.

    Args:
        found: For each method the losses of each seed.
        target: The loss to reach.
    """
    costs = {name: [_cost(each, target) for each in of_seeds] for name, of_seeds in found.items()}
    expected = {name: _expected(each) for name, each in costs.items()}
    lines = [f"| seed | best of random search | {' | '.join(costs)} |", "|---|---|---|---|---|"]
    for seed, full in enumerate(found["random search"]):
        row = [f"{min(full):.4f}", *(_said(each[seed]) for each in costs.values())]
        lines.append(f"| {seed} | {' | '.join(row)} |")
    medians = [_said(statistics.median_low(each)) for each in costs.values()]
    lines += [
        f"| median | {target:.4f} | {' | '.join(medians)} |",
        f"| expected | | {' | '.join(f'{each:.0f}' for each in expected.values())} |",
        "",
    ]
    for name in ("ASHA", "PBT"):
        reached = sum(math.isfinite(each) for each in costs[name])
        share = expected[name] / expected["random search"]
        lines.append(
            f"- {name} was there for {reached} of {len(costs[name])} seeds, and takes {share:.0%} of the epochs that random "
            f"search is expected to take: the bar of {_BAR:.0%} is {'held' if share < _BAR else 'missed'}."
        )
    return lines


def _cost(reported: Sequence[float], target: float) -> float:
    return next((float(number) for number, loss in enumerate(reported, start=1) if loss <= target), math.inf)


def _expected(costs: Sequence[float]) -> float:
    """The epochs that it takes in the mean, when a search that has spent its budget in vain is followed by another."""
    reached = sum(math.isfinite(each) for each in costs)
    return sum(min(each, BUDGET) for each in costs) / reached if reached else math.inf


def _said(epochs: float) -> str:
    return f"{epochs:g}" if math.isfinite(epochs) else "not reached"
