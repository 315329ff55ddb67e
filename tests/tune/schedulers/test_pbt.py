from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from skate import tune
from skate.air import CheckpointConfig
from skate.tune import TuneError
from skate.tune.schedulers import PopulationBasedTraining, PopulationBasedTrainingReplay
from skate.tune.schedulers.pb2 import PB2
from skate.tune.schedulers.pbt_explore import explore, fill_in
from tests.tune.simulation import simulate

SPACE = {"lr": tune.grid_search([0.1, 0.2, 0.4, 0.8])}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    random.seed(3)


def learner(config: dict[str, Any], i: int) -> float:
    return float(config["lr"] * 100 + i)


@pytest.mark.parametrize("synch", [False, True])
@pytest.mark.parametrize("cpus", [2, 4])
def test_bad_trials_go_on_as_copies_of_good_ones(tmp_path: Path, synch: bool, cpus: int) -> None:
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=2,
        hyperparam_mutations={"lr": lambda: random.uniform(0.5, 1)},
        synch=synch,
    )
    controller, executor = simulate(
        tmp_path,
        learner,
        SPACE,
        scheduler=scheduler,
        cpus=cpus,
        stop={"training_iteration": 8},
        checkpoint_config=CheckpointConfig(num_to_keep=1),
    )
    trials = controller.get_trials()
    assert all(trial.last_result["training_iteration"] == 8 for trial in trials) and not executor.running
    changed = [trial for trial in trials if "@perturbed[lr=" in trial.experiment_tag]
    assert changed and trials[0] in changed and trials[0].config["lr"] > 0.4
    policy = tmp_path / "pretend" / f"pbt_policy_{trials[0].trial_id}.txt"
    assert policy.exists() and (tmp_path / "pretend" / "pbt_global.txt").exists()
    assert "perturbs" in scheduler.debug_string()
    replay = PopulationBasedTrainingReplay(str(policy))
    again, _ = simulate(tmp_path / "again", learner, scheduler=replay, stop={"training_iteration": 8})
    assert again.get_trials()[0].config["lr"] == trials[0].config["lr"]


@pytest.mark.parametrize("at_once", [2, 3, 4])
def test_trials_that_are_saved_while_the_last_one_reports(tmp_path: Path, at_once: int) -> None:
    # What the others have saved is known, and not handled yet, when the last report has the scheduler ask for it.
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=2,
        hyperparam_mutations={"lr": lambda: random.uniform(0.5, 1)},
        synch=True,
    )
    controller, executor = simulate(
        tmp_path,
        learner,
        SPACE,
        scheduler=scheduler,
        cpus=4,
        at_once=at_once,
        stop={"training_iteration": 8},
        checkpoint_config=CheckpointConfig(num_to_keep=1),
    )
    trials = controller.get_trials()
    assert all(trial.status == "TERMINATED" and trial.num_failures == 0 for trial in trials)
    assert all(trial.last_result["training_iteration"] == 8 for trial in trials) and not executor.running


def test_the_waiting_get_their_turn(tmp_path: Path) -> None:
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=1,
        hyperparam_mutations={"lr": [0.1, 0.2, 0.4, 0.8]},
    )
    _, executor = simulate(
        tmp_path, learner, SPACE, scheduler=scheduler, cpus=1, stop={"training_iteration": 3}
    )
    first = [line for line in executor.log if line.startswith("start")][:4]
    assert first == [f"start 0{n} at 0" for n in range(4)]


def test_parameters_that_are_missing_are_drawn(tmp_path: Path) -> None:
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=9,
        hyperparam_mutations={"b": {"c": tune.uniform(2, 3)}},
    )
    controller, _ = simulate(tmp_path, learner, SPACE, scheduler=scheduler, stop={"training_iteration": 1})
    assert all(2 <= trial.config["b"]["c"] <= 3 for trial in controller.get_trials())
    assert "b/c" in controller.get_trials()[0].evaluated_params
    assert fill_in({"x": 1}, {"x": [5]}) == {}


def test_how_parameters_change() -> None:
    config = {"n": 10, "f": 1.0, "l": 2, "c": "b", "deep": {"x": 5.0}}
    mutations = {
        "n": tune.randint(0, 100),
        "f": lambda: 7.0,
        "l": [1, 2, 3],
        "c": tune.choice(["a", "b"]),
        "deep": {"x": tune.uniform(0, 1)},
    }
    found: Counter[str] = Counter()
    for _ in range(100):
        new, _ = explore(config, mutations, 0.0, (1.2, 0.8))
        assert (
            new["n"] in (12, 8)
            and new["f"] in (1.2, 0.8)
            and new["l"] in (1, 3)
            and new["deep"]["x"] in (6, 4)
        )
        found[new["c"]] += 1
    assert set(found) == {"a", "b"} and config["n"] == 10
    new, how = explore(config, mutations, 1.0, (1.2, 0.8), lambda changed: {**changed, "extra": 1})
    assert new["f"] == 7.0 and new["extra"] == 1 and how["f"] == "resample" and 0 <= new["deep"]["x"] <= 1
    with pytest.raises(ValueError, match="failed to return"):
        explore(config, mutations, 1.0, (1.2, 0.8), lambda changed: None)  # type: ignore[arg-type, return-value]


def test_a_copy_has_the_time_of_what_it_copies(tmp_path: Path) -> None:
    """It is changed again an interval after where it has gone on from, not after where it was itself."""
    starts: list[tuple[int, float, float]] = []

    class Look(tune.Callback):
        def on_trial_result(self, trial: Any, result: dict[str, Any], **info: Any) -> None:  # type: ignore[override]
            state = scheduler._state[trial]
            starts.append((result["training_iteration"], state.last_perturbation_time, state.last_train_time))

    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=3,
        hyperparam_mutations={"lr": lambda: random.uniform(0.5, 1)},
    )
    simulate(
        tmp_path,
        learner,
        SPACE,
        scheduler=scheduler,
        cpus=3,
        callbacks=[Look()],
        stop={"training_iteration": 12},
    )
    assert scheduler._num_perturbations > 0
    assert all(0 <= now - changed <= 3 for now, changed, _ in starts)
    assert all(changed % 3 == 0 for _, changed, _ in starts)


def test_numbers_stay_of_their_type() -> None:
    config = {"n": 1, "flag": True, "power": 10, "word": "a"}
    mutations = {
        "n": tune.randint(1, 9),
        "flag": tune.choice([True, False]),
        "power": tune.choice([1, 10, 100]),
    }
    new, how = explore(config, mutations, 0.0, (0.8, 0.8))
    assert new == {"n": 1, "flag": True, "power": 8, "word": "a"}
    assert how == {"n": "* 0.8", "flag": "noop", "power": "* 0.8"}
    assert all(type(new[name]) is type(config[name]) for name in config)
    with pytest.raises(TypeError, match="'a' is no number"):
        explore(config, {"word": lambda: "b"}, 0.0, (1.2, 0.8))
    assert explore(config, {"word": lambda: "b"}, 1.0, (1.2, 0.8))[0]["word"] == "b"


def test_a_replay_says_whose_parameters_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    policy = tmp_path / "policy.txt"
    policy.write_text('["a", "b", 2, 2, {"lr": 0.1}, {"lr": 0.3}]\n')
    controller, _ = simulate(
        tmp_path / "1",
        learner,
        {"lr": 5.0},
        scheduler=PopulationBasedTrainingReplay(str(policy)),
        stop={"score": 34},
    )
    (trial,) = controller.get_trials()
    assert "replaced by those of" in caplog.text and trial.config == {"lr": 0.3}
    assert trial.metric_analysis["score"]["min"] == 11 and trial.experiment_tag.endswith(
        "@perturbed[lr=0.3000]"
    )
    empty = tmp_path / "empty.txt"
    empty.touch()
    controller, _ = simulate(
        tmp_path / "2",
        learner,
        {"lr": 5.0},
        scheduler=PopulationBasedTrainingReplay(str(empty)),
        stop={"training_iteration": 2},
    )
    assert controller.get_trials()[0].config == {"lr": 5.0}
    with pytest.raises(ValueError, match="No replay policy found"):
        simulate(tmp_path / "3", learner, scheduler=PopulationBasedTrainingReplay(str(empty)))
    empty.write_text("{")
    with pytest.raises(ValueError, match="Could not read PBT policy file"):
        PopulationBasedTrainingReplay(str(empty))


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    some = {"lr": [1, 2]}
    with pytest.raises(TuneError, match="at least one of"):
        PopulationBasedTraining()
    with pytest.raises(ValueError, match="quantile_fraction"):
        PopulationBasedTraining(hyperparam_mutations=some, quantile_fraction=0.6)
    with pytest.raises(ValueError, match="perturbation_interval"):
        PopulationBasedTraining(hyperparam_mutations=some, perturbation_interval=0)
    with pytest.raises(TypeError, match="hyperparam_mutation"):
        PopulationBasedTraining(hyperparam_mutations={"lr": 5})
    with pytest.raises(ValueError, match="sample_from"):
        PopulationBasedTraining(hyperparam_mutations={"lr": tune.sample_from(lambda spec: 1)})
    with pytest.raises(RuntimeError, match="Cannot find"):
        simulate(
            tmp_path,
            learner,
            SPACE,
            scheduler=PopulationBasedTraining(time_attr="nosuch", hyperparam_mutations=some),
        )
    with pytest.raises(ValueError, match="not found"):
        PopulationBasedTrainingReplay(str(tmp_path / "nothing"))
    with pytest.raises(TuneError, match="hyperparam_bounds"):
        PB2()
    with pytest.raises(ValueError, match="size 2"):
        PB2(hyperparam_bounds={"lr": [1]})


def test_pb2_learns_where_trials_get_better(tmp_path: Path) -> None:
    """Trials gain most with lr near 0.9: the model moves the population there."""
    state: dict[str, float] = {}

    def gains(config: dict[str, Any], i: int) -> float:
        key = str(id(config))
        state[key] = state.get(key, 0.0) + 1 - abs(config["lr"] - 0.9)
        return state[key]

    scheduler = PB2(
        time_attr="training_iteration", perturbation_interval=1, hyperparam_bounds={"lr": [0.0, 1.0]}
    )
    controller, _ = simulate(
        tmp_path,
        gains,
        {"lr": tune.grid_search([0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8])},
        scheduler=scheduler,
        cpus=8,
        stop={"training_iteration": 20},
    )
    values = sorted(trial.config["lr"] for trial in controller.get_trials())
    assert sum(values) / len(values) > 0.6
