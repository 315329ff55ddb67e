"""Each adapter against the newest release of its library, where that is installed."""

from __future__ import annotations

import importlib
import importlib.util
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skate import tune
from skate.tune.search import (
    BasicVariantGenerator,
    ConcurrencyLimiter,
    Repeater,
    Searcher,
    SearchGenerator,
    create_searcher,
)
from skate.tune.search.repeater import TRIAL_INDEX
from tests.tune.simulation import simulate

FLOATS = {"x": tune.uniform(-5, 5), "deep": {"y": tune.uniform(0, 10)}}
MIXED = {**FLOATS, "n": tune.randint(1, 9), "c": tune.choice(["good", "bad"]), "fixed": 3}

ADAPTERS: dict[str, tuple[str, Callable[..., Searcher]]] = {}


def adapter(name: str, module: str, cls: str, **settings: Any) -> None:
    def make(**more: Any) -> Searcher:
        made: Searcher = getattr(importlib.import_module(f"skate.tune.search.{name}"), cls)(
            **settings, **more
        )
        return made

    ADAPTERS[cls.lower()] = (module, make)


adapter("optuna", "optuna", "OptunaSearch", seed=1)
adapter("hyperopt", "hyperopt", "HyperOptSearch", random_state_seed=1)
adapter("bayesopt", "bayes_opt", "BayesOptSearch", random_state=1)
adapter("nevergrad", "nevergrad", "NevergradSearch")
adapter("zoopt", "zoopt", "ZOOptSearch", budget=60)
adapter("ax", "ax", "AxSearch", random_seed=1)
adapter("hebo", "hebo", "HEBOSearch", random_state_seed=1)
adapter("smac", "smac", "SMACSearch", seed=1, n_initial=10)


SLOW = {"AxSearch": 20, "HEBOSearch": 20, "SMACSearch": 30}
"""Those that fit a model for each suggestion are given fewer trials."""


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(1)
    np.random.seed(1)


@pytest.fixture(params=ADAPTERS)
def make(request: pytest.FixtureRequest) -> Callable[..., Searcher]:
    module, factory = ADAPTERS[request.param]
    pytest.importorskip(module)
    if request.param == "bayesoptsearch" and not importlib.util.find_spec("bayes_opt.acquisition"):
        pytest.skip("bayesian-optimization is older than 2")
    return factory


def loss(config: dict[str, Any], i: int = 1) -> float:
    other = 0.0 if "n" not in config else abs(config["n"] - 4) + (config["c"] == "bad") * 5
    return float((config["x"] - 1) ** 2 + (config["deep"]["y"] - 3) ** 2 + other)


def space_of(searcher: Searcher) -> dict[str, Any]:
    return FLOATS if type(searcher).__name__ == "BayesOptSearch" else MIXED


@pytest.mark.filterwarnings("ignore")  # the libraries' own
@pytest.mark.parametrize("mode", ["min", "max"])
def test_it_learns(make: Callable[..., Searcher], tmp_path: Path, mode: str) -> None:
    searcher = make()
    number = SLOW.get(type(searcher).__name__, 60)
    sign = 1 if mode == "min" else -1
    controller, _ = simulate(
        tmp_path,
        lambda config, i: sign * loss(config),
        space_of(searcher),
        search=SearchGenerator(searcher),
        mode=mode,
        num_samples=number,
        stop={"training_iteration": 1},
    )
    losses = [loss(trial.config) for trial in controller.get_trials()]
    assert len(losses) == number and min(losses) < 4
    assert sum(losses[number // 2 :]) < sum(losses[: number // 2])
    if space_of(searcher) is MIXED:
        trial = controller.get_trials()[0]
        assert (
            trial.config["fixed"] == 3
            and isinstance(trial.config["n"], int)
            and "deep/y" in trial.evaluated_params
        )


@pytest.mark.filterwarnings("ignore")
def test_failures_and_what_is_no_number_do_not_stop_it(make: Callable[..., Searcher], tmp_path: Path) -> None:
    searcher = make()

    def learner(config: dict[str, Any], i: int) -> Any:
        if config["x"] < -2:
            return ValueError("no")
        return math.nan if config["x"] > 3 else loss(config)

    controller, _ = simulate(
        tmp_path,
        learner,
        space_of(searcher),
        search=SearchGenerator(searcher),
        mode="min",
        num_samples=15,
        stop={"training_iteration": 1},
    )
    assert len(controller.get_trials()) == 15


@pytest.mark.filterwarnings("ignore")
def test_points_come_first_and_a_saved_searcher_goes_on(
    make: Callable[..., Searcher], tmp_path: Path
) -> None:
    point = {"x": 1.0, "deep": {"y": 2.0}}
    probe = make()
    whole = point if space_of(probe) is FLOATS else {**point, "n": 4, "c": "good"}
    searcher = make(points_to_evaluate=[whole])
    assert searcher.set_search_properties("loss", "min", space_of(searcher))
    assert not searcher.set_search_properties("other", "max", space_of(searcher))
    first = searcher.suggest("0")
    assert first is not None and first["x"] == pytest.approx(1.0) and first["deep"]["y"] == pytest.approx(2.0)
    searcher.on_trial_complete("0", {"loss": loss(first), "training_iteration": 1})
    for number in range(1, 15):
        config = searcher.suggest(str(number))
        assert config is not None
        searcher.on_trial_result(str(number), {"loss": loss(config), "training_iteration": 1})
        searcher.on_trial_complete(str(number), {"loss": loss(config), "training_iteration": 1})
    searcher.save(str(tmp_path / "state"))
    again = make()
    again.set_search_properties("loss", "min", space_of(again))
    again.restore(str(tmp_path / "state"))
    config = again.suggest("later")
    assert config is not None and set(config) == set(first)
    again.on_trial_complete("later", {"loss": 1.0})


def test_what_it_does_not_know_is_said(make: Callable[..., Searcher]) -> None:
    with pytest.raises(ValueError, match="Grid search"):
        make().set_search_properties("loss", "min", {"x": tune.grid_search([1, 2])})
    with pytest.raises(ValueError, match="does not support"):
        make().set_search_properties("loss", "min", {"x": tune.sample_from(lambda: 1)})
    with pytest.raises(RuntimeError, match="no search space"):
        make().suggest("0")


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *args: Any) -> Any:
        raise ImportError(f"No module named {name!r}")

    from skate.tune.search import spaces

    monkeypatch.setattr(spaces.importlib, "import_module", refuse)
    with pytest.raises(ImportError, match="pip install nevergrad"):
        spaces.load("nevergrad", "nevergrad")


class Listed(Searcher):
    """Suggests the numbers from zero."""

    def __init__(self, number: int = 5) -> None:
        super().__init__(metric="score", mode="max")
        self.left = list(range(number))
        self.told: dict[str, Any] = {}

    def suggest(self, trial_id: str) -> Any:
        return {"x": self.left.pop(0)} if self.left else Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        self.told[trial_id] = (result or {}).get("score"), error


def test_repetitions_are_averaged(tmp_path: Path) -> None:
    inner = Listed(2)
    scores = iter([1.0, 2.0, 3.0, ValueError("no"), 10.0, 20.0])
    controller, _ = simulate(
        tmp_path,
        lambda config, i: next(scores),
        search=SearchGenerator(Repeater(inner, repeat=3)),
        metric=None,
        mode=None,
        num_samples=6,
        cpus=1,
        stop={"training_iteration": 1},
    )
    assert [trial.config["x"] for trial in controller.get_trials()] == [0, 0, 0, 1, 1, 1]
    assert [trial.config[TRIAL_INDEX] for trial in controller.get_trials()] == [0, 1, 2, 0, 1, 2]
    assert list(inner.told.values()) == [(2.0, False), (15.0, False)]


@pytest.mark.parametrize("batch", [False, True])
def test_only_so_many_at_once(tmp_path: Path, batch: bool) -> None:
    inner = Listed()
    limited = ConcurrencyLimiter(inner, max_concurrent=2, batch=batch)
    controller, executor = simulate(
        tmp_path,
        lambda config, i: config["x"],
        search=SearchGenerator(limited),
        metric=None,
        mode=None,
        num_samples=5,
        cpus=8,
        stop={"training_iteration": 2},
    )
    running = most = 0
    for line in executor.log:
        running += 1 if line.startswith("start") else -1
        most = max(most, running)
    assert most == 2 and len(controller.get_trials()) == 5 and len(inner.told) == 5
    with pytest.raises(ValueError, match="max_concurrent"):
        ConcurrencyLimiter(inner, 0)
    with pytest.raises(RuntimeError, match="only works with `Searcher`"):
        ConcurrencyLimiter(BasicVariantGenerator(), 2)  # type: ignore[arg-type]


def test_searchers_by_name() -> None:
    assert type(create_searcher("optuna", seed=1)).__name__ == "OptunaSearch"
    with pytest.raises(ValueError, match="must be one of"):
        create_searcher("nosuch")
    with pytest.raises(ValueError, match="mode must be"):
        Searcher(metric="a", mode="best")
    with pytest.raises(ValueError, match="as many entries"):
        Searcher(metric=["a", "b"], mode=["min"])


@pytest.mark.filterwarnings("ignore")
def test_bohb_learns_with_its_scheduler(tmp_path: Path) -> None:
    pytest.importorskip("hpbandster")
    from skate.tune.schedulers import HyperBandForBOHB
    from skate.tune.search.bohb import TuneBOHB

    space = {"x": tune.uniform(-5, 5), "n": tune.randint(1, 9), "c": tune.choice(["good", "bad"])}
    controller, _ = simulate(
        tmp_path,
        lambda config, i: (config["x"] - 1) ** 2 + abs(config["n"] - 4) + (config["c"] == "bad") * 5,
        space,
        search=SearchGenerator(TuneBOHB(seed=1, points_to_evaluate=[{"x": 0.5, "n": 2, "c": "good"}])),
        scheduler=HyperBandForBOHB(max_t=9),
        mode="min",
        num_samples=40,
        cpus=4,
    )
    trials = controller.get_trials()
    assert trials[0].config["x"] == 0.5 and len(trials) == 40 and all(trial.is_finished() for trial in trials)
    scores = [trial.last_result["score"] for trial in trials]
    assert sum(scores[20:]) < sum(scores[:20])
    lone = TuneBOHB(metric="score", mode="min", space=space)
    lone.suggest("0")
    with pytest.raises(RuntimeError, match="HyperBandForBOHB"):
        lone.on_trial_result("0", {"score": 1})
