from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from skate import tune
from skate.tune.search.sample import Categorical
from skate.tune.search.variant_generator import (
    RecursiveDependencyError,
    count_spec_samples,
    count_variants,
    flatten_resolved_vars,
    format_vars,
    generate_variants,
    merge_preset,
)


def configs(space: dict[str, Any], times: int = 1, constant: bool = False) -> list[dict[str, Any]]:
    state = np.random.RandomState(3)
    return [
        spec["config"]
        for _ in range(times)
        for _, spec in generate_variants({"config": space}, constant, random_state=state)
    ]


def test_the_first_grid_changes_fastest() -> None:
    space = {"a": tune.grid_search([1, 2]), "b": {"c": tune.grid_search(["x", "y"])}}
    assert [(config["a"], config["b"]["c"]) for config in configs(space)] == [
        (1, "x"),
        (2, "x"),
        (1, "y"),
        (2, "y"),
    ]


def test_domains_are_drawn_from_for_each_combination() -> None:
    space = {"g": tune.grid_search([1, 2]), "u": tune.uniform(0, 1), "d": {"e": tune.randint(0, 10)}}
    drawn = configs(space)
    assert [config["u"] for config in drawn] == pytest.approx([0.5507979025745755, 0.8399490437724049])
    assert [config["d"]["e"] for config in drawn] == [9, 8]
    once = configs(space, times=2, constant=True)
    assert once[0]["u"] == once[1]["u"] != once[2]["u"] == once[3]["u"]


def test_domains_lie_at_any_depth() -> None:
    space = {"l": [1, tune.choice([2]), {"z": tune.choice([3])}], "t": (0, tune.choice([tune.choice([4])]))}
    assert configs(space) == [{"l": [1, 2, {"z": 3}], "t": (0, 4)}]


def test_grids_lie_in_grids() -> None:
    space = {"a": tune.grid_search([{"x": tune.grid_search([1, 2])}, 3]), "b": Categorical([1, 2]).grid()}
    assert [config["a"] for config in configs(space)][:3] == [{"x": 1}, {"x": 2}, 3]
    assert len(configs(space)) == 6 == count_variants({"config": space})
    assert count_spec_samples({"config": space}, 10) == 60


def test_functions_see_the_other_parameters() -> None:
    space = {
        "last": tune.sample_from(lambda spec: spec.config.twice + 1),
        "twice": tune.sample_from(lambda spec: spec["config"]["a"] * 2),
        "a": tune.choice([5]),
        "alone": tune.sample_from(lambda: "x"),
        "expression": {"eval": "3 + _.config.a"},
    }
    assert configs(space) == [{"last": 11, "twice": 10, "a": 5, "alone": "x", "expression": 8}]


def test_a_circle_is_an_error() -> None:
    with pytest.raises(RecursiveDependencyError, match="depends on"):
        configs(
            {
                "a": tune.sample_from(lambda spec: spec.config.b),
                "b": tune.sample_from(lambda spec: spec.config.a),
            }
        )
    with pytest.raises(ValueError, match="Failed to evaluate expression"):
        configs({"a": tune.sample_from(lambda spec: spec["nothing"])})
    with pytest.raises(TypeError, match="expected list of values"):
        configs({"a": {"grid_search": 5}})


def test_the_space_is_left_as_it_was() -> None:
    domain = tune.uniform(0, 1)
    space = {"a": {"b": [domain]}}
    assert configs(space) and space == {"a": {"b": [domain]}}


def test_values_given_beforehand(caplog: pytest.LogCaptureFixture) -> None:
    spec = {"config": {"a": tune.uniform(0, 1), "b": {"c": tune.grid_search([1, 2])}}}
    assert merge_preset(spec, {"a": 5, "b/c": 2})["config"] == {"a": 5, "b": {"c": 2}}
    assert merge_preset(spec, {"b": {"c": 1}})["config"]["b"] == {"c": 1}
    assert count_variants(spec, [{"a": 5}, {"b/c": 1}]) == 2 + 1 + 2
    assert merge_preset(spec, {"b/c": 7})["config"]["b"] == {"c": 7}  # tried all the same
    assert "not within valid values of parameter `b/c`" in caplog.text
    for unknown in ({"x/y": 7}, {"x": 7}, {"b": {"x": 7}}):
        with pytest.raises(KeyError, match="no parameter"):
            merge_preset(spec, unknown)


def test_chosen_values_in_a_line() -> None:
    chosen = {("config", "a", "lr"): 0.12345, ("config", "b"): [1, "x y"], ("config", "l", 0): len}
    assert format_vars(chosen) == "lr=0.1235,b=1_x_y,0=built-in_function_len"
    assert flatten_resolved_vars({("config", "a", "b"): 1}) == {"a/b": 1}
