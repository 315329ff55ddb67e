from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from skate import tune
from skate.tune.experiment import Experiment, Trial
from skate.tune.impl.choose import choose_search
from skate.tune.search import BasicVariantGenerator, SearchGenerator
from skate.tune.search.optuna import OptunaSearch
from tests.tune.simulation import Pretend, simulate

optuna = pytest.importorskip("optuna")


def test_domains_become_distributions() -> None:
    made = OptunaSearch.convert_search_space(
        {
            "u": tune.uniform(0, 1),
            "l": tune.loguniform(1e-3, 1),
            "q": tune.quniform(0, 1, 0.25),
            "i": tune.randint(1, 5),
            "li": tune.lograndint(1, 100),
            "qi": tune.qrandint(0, 8, 2),
            "deep": {"c": tune.choice(["a", "b"])},
        }
    )
    kinds = optuna.distributions
    assert made == {
        "u": kinds.FloatDistribution(0, 1),
        "l": kinds.FloatDistribution(1e-3, 1, log=True),
        "q": kinds.FloatDistribution(0, 1, step=0.25),
        "i": kinds.IntDistribution(1, 4),
        "li": kinds.IntDistribution(1, 99, log=True),
        "qi": kinds.IntDistribution(0, 8, step=2),
        "deep/c": kinds.CategoricalDistribution(["a", "b"]),
    }


def test_a_seed_gives_the_same_search(tmp_path: Path) -> None:
    def configs(place: str) -> list[Any]:
        search = SearchGenerator(OptunaSearch(seed=5))
        controller, _ = simulate(
            tmp_path / place,
            lambda config, i: config["x"],
            {"x": tune.uniform(0, 1)},
            search=search,
            num_samples=20,
            stop={"training_iteration": 1},
        )
        return [trial.config["x"] for trial in controller.get_trials()]

    assert configs("a") == configs("b")


def test_several_metrics(tmp_path: Path) -> None:
    searcher = OptunaSearch(metric=["a", "b"], mode=["min", "max"], seed=1)
    controller, _ = simulate(
        tmp_path,
        lambda config, i: {"a": config["x"], "b": config["x"] ** 2},
        {"x": tune.uniform(0, 1)},
        search=SearchGenerator(searcher),
        metric=None,
        mode=None,
        num_samples=8,
        stop={"training_iteration": 1},
    )
    assert len(controller.get_trials()) == 8 and len(searcher._study.best_trials) >= 2


def test_a_space_that_is_a_function(tmp_path: Path) -> None:
    def space(trial: Any) -> dict[str, Any]:
        if trial.suggest_categorical("kind", ["line", "curve"]) == "curve":
            trial.suggest_float("bend", 0, 1)
        return {"constant": 5}

    controller, _ = simulate(
        tmp_path,
        lambda config, i: config.get("bend", 0.0),
        search=SearchGenerator(OptunaSearch(space, metric="score", mode="max", seed=1)),
        metric=None,
        mode=None,
        num_samples=12,
        stop={"training_iteration": 1},
    )
    configs = [trial.config for trial in controller.get_trials()]
    assert all(
        config["constant"] == 5 and ("bend" in config) == (config["kind"] == "curve") for config in configs
    )


def test_what_is_known_already_is_learned_from() -> None:
    searcher = OptunaSearch(
        {"x": optuna.distributions.FloatDistribution(0, 1)},
        metric="score",
        mode="max",
        points_to_evaluate=[{"x": 0.5}, {"x": 0.7}],
        evaluated_rewards=[1.0, 2.0],
    )
    assert [trial.value for trial in searcher._study.trials] == [1.0, 2.0]
    searcher.add_evaluated_point({"x": 0.9}, 3.0, intermediate_values=[1.0, 2.0])
    assert searcher._study.best_params == {"x": 0.9}
    with pytest.raises(ValueError, match="do not match"):
        OptunaSearch(points_to_evaluate=[{"x": 1}], evaluated_rewards=[1, 2])


def test_when_optuna_is_the_default(tmp_path: Path) -> None:
    def chosen(space: dict[str, Any], number: int, metric: str | None = "m", given: Any = None) -> str:
        experiment = Experiment("e", Pretend, config=space, num_samples=number, storage_path=str(tmp_path))
        search = choose_search(given, experiment, metric, "min", None)
        return type(search.searcher if isinstance(search, SearchGenerator) else search).__name__

    learnable = {"x": tune.uniform(0, 1), "c": tune.choice([1, 2])}
    assert chosen(learnable, 50) == "OptunaSearch"
    assert chosen(learnable, 10) == chosen(learnable, 50, None) == "BasicVariantGenerator"
    assert (
        chosen({"x": tune.grid_search([1])}, 50) == chosen({"x": tune.randn()}, 50) == "BasicVariantGenerator"
    )
    assert chosen({"x": 1}, 50) == chosen({"c": tune.choice([[1], [2]])}, 50) == "BasicVariantGenerator"
    assert (
        chosen(learnable, 50, given="random")
        == chosen(learnable, 50, given=BasicVariantGenerator())
        == "BasicVariantGenerator"
    )


def test_constraints_keep_the_search_where_it_is_allowed(tmp_path: Path) -> None:
    searcher = OptunaSearch(seed=1, constraints=lambda result: [result["size"] - 4.0])
    controller, _ = simulate(
        tmp_path,
        lambda config, i: {"score": config["x"], "size": config["x"] ** 2},  # best and allowed at 2
        {"x": tune.uniform(0, 10)},
        search=SearchGenerator(searcher),
        num_samples=60,
        stop={"training_iteration": 1},
    )
    late = [trial.config["x"] for trial in controller.get_trials()[30:]]
    assert sum(x <= 2 for x in late) > 15
    assert searcher._study.best_trial.params["x"] <= 2


def test_a_storage_of_its_own_knows_each_trial_once(tmp_path: Path) -> None:
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/study.db")
    space = {"x": tune.uniform(0, 1)}
    searcher = OptunaSearch(storage=storage, study_name="s", seed=1)
    searcher.set_search_properties("score", "max", space)
    searcher.save(str(tmp_path / "early"))
    trials = []
    for number in range(3):
        config = searcher.suggest(f"t{number}")
        assert config is not None
        trial = Trial("pretend", trial_id=f"t{number}", config=config, evaluated_params=config, stub=True)
        trial.set_last_result({"score": config["x"], "training_iteration": 1})
        trial.status = Trial.TERMINATED if number else Trial.PENDING
        trials.append(trial)
    searcher.on_trial_complete("t1", {"score": 1.0})
    # The driver dies; what it had saved knows of no trial, the storage of three, one of which is complete there.
    again = OptunaSearch(storage=storage, study_name="s", seed=1)
    again.set_search_properties("score", "max", space)
    again.restore(str(tmp_path / "early"))
    again.learn_missing(trials)
    states = {each.user_attrs["trial_id"]: each.state.name for each in again._study.trials}
    assert states == {"t0": "RUNNING", "t1": "COMPLETE", "t2": "COMPLETE"} and len(again._study.trials) == 3
    again.on_trial_complete("t0", {"score": 0.5})
    assert len(again._study.trials) == 3 and again._study.trials[0].state.name == "COMPLETE"
    storage.engine.dispose()


def test_what_ended_after_the_state_was_saved_is_learned(tmp_path: Path) -> None:
    experiment = Experiment("pretend", Pretend, config={"x": tune.uniform(0, 1)}, num_samples=5,
                            storage_path=str(tmp_path))  # fmt: skip

    def generator() -> SearchGenerator:
        made = SearchGenerator(OptunaSearch(seed=1))
        made.set_search_properties("score", "max", experiment.spec["config"])
        made.add_configurations([experiment])
        return made

    first = generator()
    trials = [first.next_trial() for _ in range(2)]
    first.on_trial_complete(trials[0].trial_id, {"score": 1.0})  # type: ignore[union-attr]
    first.save_to_dir(str(tmp_path))
    again = generator()
    again.restore_from_dir(str(tmp_path))
    for trial in trials:
        assert trial is not None
        trial.set_last_result({"score": 2.0, "training_iteration": 1})
        trial.status = Trial.TERMINATED
    again.resume([trial for trial in trials if trial is not None])
    assert [each.value for each in again.searcher._study.trials] == [1.0, 2.0]


def test_it_can_be_pickled_as_it_is() -> None:
    search = OptunaSearch({"x": tune.uniform(0, 1)}, metric="loss", mode="min", seed=1)
    first = search.suggest("a")
    assert first is not None
    again = pickle.loads(pickle.dumps(search))
    again.on_trial_complete("a", {"loss": first["x"]})
    assert 0 <= again.suggest("b")["x"] <= 1
