"""Scheduling strategies that can't be meant, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import skate as ray
from skate.util.scheduling_strategies import (
    Exists,
    In,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
    NotIn,
)

_NODE = "a" * 56


@pytest.fixture(scope="module", autouse=True)
def session() -> None:
    """None is needed."""


def nothing() -> None:
    """What would run."""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NodeAffinitySchedulingStrategy("zz", False), "Node ID must be a valid hex string"),
        (
            lambda: NodeAffinitySchedulingStrategy(_NODE, False, _spill_on_unavailable=True),
            "_spill_on_unavailable cannot be set when soft is False",
        ),
        (
            lambda: NodeAffinitySchedulingStrategy(_NODE, True, _fail_on_unavailable=True),
            "_fail_on_unavailable cannot be set when soft is True",
        ),
        (In, "variadic parameter of the In operator must be a non-empty tuple"),
        (NotIn, "variadic parameter of the NotIn operator must be a non-empty tuple"),
        (lambda: In("a", 1), "position 1 for the In operator must be str"),  # type: ignore[arg-type]
        (lambda: NodeLabelSchedulingStrategy({}), "cannot both be empty"),
        (lambda: NodeLabelSchedulingStrategy({"a": "b"}), "value for key a of the hard parameter"),
        (lambda: NodeLabelSchedulingStrategy({1: In("b")}), "map key of the hard parameter"),  # type: ignore[dict-item]
        (lambda: NodeLabelSchedulingStrategy("a"), "hard parameter must be a map"),  # type: ignore[arg-type]
        (lambda: NodeLabelSchedulingStrategy(None, soft=["a"]), "soft parameter must be a map"),  # type: ignore[arg-type]
    ],
)
def test_strategies_that_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_soft_labels_alone() -> None:
    assert set(NodeLabelSchedulingStrategy(None, soft={"zone": Exists()}).soft) == {"zone"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheduling_strategy": "FOO"}, "Invalid scheduling_strategy value FOO"),
        ({"label_selector": {"zone": "in()"}}, r"Invalid label selector value `in\(\)`"),
        ({"label_selector": {"a zone": "b"}}, "Invalid label key name `a zone`"),
        ({"fallback_strategy": [{"zone": "b"}]}, "Unsupported option found: 'zone'"),
        ({"placement_group_bundle_index": 0}, "value of bundle index must be -1"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ray.remote(nothing).options(**options)
