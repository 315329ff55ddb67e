from __future__ import annotations

import copy
from typing import Any

import pytest

from skate import tune
from skate.tune.impl.placeholder import create_resolvers_map, inject_placeholders, resolve_placeholders
from skate.tune.search.variant_generator import generate_variants


class Thing:
    """Something that no search algorithm can handle."""


def chosen(space: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The configurations of a space as they are chosen, and once they are resolved."""
    taken = create_resolvers_map()
    injected = inject_placeholders(space, taken)
    before, after = [], []
    for _, spec in generate_variants({"config": injected}):
        before.append(copy.deepcopy(spec["config"]))
        resolve_placeholders(spec["config"], taken)
        after.append(spec["config"])
    return before, after


def test_plain_values_and_domains_stay() -> None:
    space = {"a": 1, "b": "x", "c": None, "d": [1.5, True], "e": tune.uniform(0, 1)}
    taken = create_resolvers_map()
    assert inject_placeholders(space, taken) == space and not taken


def test_objects_are_taken_out_and_put_back() -> None:
    one, two = Thing(), Thing()
    (before,), (after,) = chosen({"a": one, "deep": {"list": [1, two]}, "pair": (two, 3)})
    assert "Thing" not in repr(before)
    assert after == {"a": one, "deep": {"list": [1, two]}, "pair": (two, 3)}


@pytest.mark.parametrize("options", [tune.grid_search, tune.choice])
def test_options_that_are_objects(options: Any) -> None:
    things = [Thing(), Thing(), "plain"]
    before, after = chosen({"a": options(list(things))})
    assert all("Thing" not in repr(each) for each in before)
    assert all(each["a"] in things for each in after)
    assert len(after) == (3 if options is tune.grid_search else 1)


def test_options_that_hold_objects_in_different_places() -> None:
    cat, dog = Thing(), Thing()
    _, after = chosen({"a": tune.grid_search([(cat, None), (None, dog), (None, None)])})
    assert [each["a"] for each in after] == [(cat, None), (None, dog), (None, None)]


def test_functions_see_the_objects() -> None:
    thing = Thing()
    _, (after,) = chosen({"a": thing, "b": tune.sample_from(lambda config: [config["a"]])})
    assert after["b"] == [thing]


def test_what_was_not_chosen_is_left_out() -> None:
    taken = create_resolvers_map()
    inject_placeholders({"a": tune.choice([{"b": Thing()}, 1])}, taken)
    config = {"a": 1}
    resolve_placeholders(config, taken)
    assert config == {"a": 1}
