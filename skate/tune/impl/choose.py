"""What is used for what the user left out, or named."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from skate.tune.reporting.table import is_notebook
from skate.tune.schedulers.trial_scheduler import FIFOScheduler, TrialScheduler
from skate.tune.search.basic_variant import BasicVariantGenerator
from skate.tune.search.concurrency_limiter import ConcurrencyLimiter
from skate.tune.search.sample import Categorical, Float, Integer
from skate.tune.search.search_algorithm import SearchAlgorithm
from skate.tune.search.search_generator import SearchGenerator
from skate.tune.search.searcher import Searcher
from skate.tune.search.variant_generator import parse_spec_vars
from skate.tune.utils.verbosity import AirVerbosity

if TYPE_CHECKING:
    from skate.tune.experiment.experiment import Experiment

__all__ = [
    "choose_reporter",
    "choose_scheduler",
    "choose_search",
    "default_searcher",
    "learns_by_default",
]

_RANDOM_FIRST = 10
"""Optuna draws its first trials at random: for no more than these it is not needed."""


def choose_search(
    given: Any,
    experiment: Experiment,
    metric: str | None,
    mode: str | None,
    max_concurrent: int | None,
    scheduler: Any = None,
) -> SearchAlgorithm:
    """The search algorithm.

    Args:
        given: What the user passed: an object, a name, or None.
        experiment: What is searched.
        metric: The metric.
        mode: "min" or "max".
        max_concurrent: How many trials run at once; None or 0: as many as there is room for.
            A negative number means that to grid and random search, too.
        scheduler: The scheduler that the user passed.

    Returns:
        The search algorithm.

    Raises:
        ValueError: what was passed is neither, or `max_concurrent` is given twice.
    """
    limit = max_concurrent or 0
    if isinstance(given, str):
        from skate.tune.search import create_searcher

        given = create_searcher(given)
    if given is None and learns_by_default(experiment, metric, mode, scheduler):
        given = default_searcher()
    if given is None:
        return BasicVariantGenerator(max_concurrent=limit)
    if isinstance(given, BasicVariantGenerator):
        if limit and given.max_concurrent not in (0, limit):
            raise ValueError(
                f"max_concurrent_trials={limit} and BasicVariantGenerator(max_concurrent={given.max_concurrent}) differ: give "
                "only one of them."
            )
        given.max_concurrent = limit or given.max_concurrent
        return given
    if isinstance(given, Searcher):
        if limit:
            if isinstance(given, ConcurrencyLimiter):
                if given.max_concurrent != limit:
                    raise ValueError(
                        f"max_concurrent_trials={limit} and ConcurrencyLimiter(max_concurrent={given.max_concurrent}) differ: "
                        "give only one of them."
                    )
            else:
                given = ConcurrencyLimiter(given, max_concurrent=limit)
        return SearchGenerator(given)
    if isinstance(given, SearchAlgorithm):
        return given
    raise ValueError(f"search_alg={given!r} is neither a Searcher, a SearchAlgorithm nor the name of one.")


def default_searcher(seed: int | None = None) -> Searcher:
    """The searcher of a search that names none and can learn.

    Args:
        seed: For a search that is to be repeated.
    """
    from skate.tune.search.optuna import OptunaSearch

    return OptunaSearch(seed=seed)


def learns_by_default(experiment: Experiment, metric: str | None, mode: str | None, scheduler: Any) -> bool:
    """Whether a search that names no algorithm is left to Optuna: if it can learn, and has the trials to learn from."""
    number = experiment.spec["num_samples"]
    if not metric or not mode or 0 <= number <= _RANDOM_FIRST:
        return False
    if getattr(scheduler, "changes_parameters", False):
        return False
    _, domains, grids = parse_spec_vars({"config": experiment.spec["config"]})
    if grids or not domains or not all(_is_known(domain) for _, domain in domains):
        return False
    return importlib.util.find_spec("optuna") is not None


def _is_known(domain: Any) -> bool:
    """Whether Optuna knows such a domain."""
    if isinstance(domain, Categorical):
        return all(isinstance(each, str | int | float | bool | None) for each in domain.categories)
    sampler = str(domain.get_sampler()) if isinstance(domain, Float | Integer) else ""
    inner = getattr(domain.get_sampler(), "sampler", None) if isinstance(domain, Float | Integer) else None
    return (sampler if inner is None else str(inner)) in ("Uniform", "LogUniform")


def choose_scheduler(given: Any) -> TrialScheduler:
    """The scheduler.

    Args:
        given: What the user passed: an object, a name, or None.

    Returns:
        The scheduler.

    Raises:
        ValueError: what was passed is neither.
    """
    if given is None:
        return FIFOScheduler()
    if isinstance(given, str):
        from skate.tune.schedulers import create_scheduler

        return create_scheduler(given)
    if isinstance(given, TrialScheduler):
        return given
    raise ValueError(f"scheduler={given!r} is neither a TrialScheduler nor the name of one.")


def choose_reporter(
    given: Any, verbose: Any, spec: dict[str, Any], metric: str | None, mode: str | None
) -> Any:
    """What shows the progress.

    Args:
        given: What the user passed, or None.
        verbose: How much is shown.
        spec: The experiment's specification.
        metric: The metric.
        mode: "min" or "max".

    Returns:
        A reporter, or None.
    """
    level = AirVerbosity(min(2, max(0, int(AirVerbosity.DEFAULT if verbose is None else verbose))))
    if level == AirVerbosity.SILENT:
        return None
    if given is not None:
        return given
    if is_notebook():
        from skate.tune.progress_reporter import JupyterNotebookReporter

        return JupyterNotebookReporter(metric=metric, mode=mode)
    from skate.tune.experimental.output import TuneTerminalReporter

    return TuneTerminalReporter(level, spec["num_samples"], metric, mode, spec["config"])
