"""Searches of trivial trials: what is measured is all that a search costs beyond its trials."""

from __future__ import annotations

import importlib
import resource
import shutil
import tempfile
import time
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Measured, check

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.session import Session

__all__ = ["asha", "growth", "trivial"]

_REPORTS = 10


def _tune(session: Session) -> tuple[Any, Any]:
    module = session.load()
    return module, importlib.import_module(f"{module.__name__}.tune")


def _search(tune: Any, trainable: Callable[[dict[str, Any]], Any], number: int, **config: Any) -> Any:
    directory = tempfile.mkdtemp(prefix="bench-tune-")
    try:
        return tune.Tuner(
            trainable,
            param_space={"x": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(num_samples=number, **config),
            run_config=tune.RunConfig(storage_path=directory, verbose=0),
        ).fit()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _trivial(config: dict[str, Any]) -> dict[str, float]:
    return {"score": config["x"]}


def trivial(session: Session) -> dict[str, Measured]:
    """100 trials of a function that only returns, two at a time, from the import to the results."""
    number = session.size(100, 4)
    start = time.perf_counter()
    module, tune = _tune(session)
    with session.open():
        results = _search(tune, _trivial, number)
        taken = time.perf_counter() - start
        check([len(results), results.num_errors], [number, 0])
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    del module
    return {"seconds": Measured([taken]), "memory": Measured([float(memory)])}


def asha(session: Session) -> dict[str, Measured]:
    """32 trials of 10 reports under ASHA, in a session that runs."""
    number = session.size(32, 4)
    _, tune = _tune(session)

    def train(config: dict[str, Any]) -> None:
        for step in range(_REPORTS):
            tune.report({"score": config["x"] * step})

    schedulers = importlib.import_module(f"{tune.__name__}.schedulers")
    with session.open():
        start = time.perf_counter()
        scheduler = schedulers.ASHAScheduler(max_t=_REPORTS, reduction_factor=2)
        random = importlib.import_module(f"{tune.__name__}.search.basic_variant").BasicVariantGenerator()
        results = _search(
            tune, train, number, metric="score", mode="max", scheduler=scheduler, search_alg=random
        )
        taken = time.perf_counter() - start
        check([len(results), results.num_errors], [number, 0])
    return {"seconds": Measured([taken])}


def growth(session: Session) -> dict[str, Measured]:
    """A trial's cost in a search of 5,000, next to that in a search of 500."""
    many, few = session.size(5_000, 40), session.size(500, 20)
    _, tune = _tune(session)
    with session.open():
        _search(tune, _trivial, 4)
        each = []
        for number in (few, many):
            start = time.perf_counter()
            check([len(_search(tune, _trivial, number))], [number])
            each.append((time.perf_counter() - start) / number)
    return {"seconds": Measured([each[1]], [each[0]])}
