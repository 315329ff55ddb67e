"""Concurrency groups: limits of their own for some methods of an actor."""

from __future__ import annotations

from typing import Any

import pytest

from .api import ray
from .helpers import Gate, get
from .support import differs_from_ray


def declare() -> Any:
    @ray.remote(concurrency_groups={"io": 2, "compute": 1})
    class Grouped:
        @ray.method(concurrency_group="io")
        async def io(self, gate: Any, who: str) -> str:
            await gate.wait.remote(who)
            return who

        @ray.method(concurrency_group="compute")
        async def compute(self, gate: Any, who: str) -> str:
            await gate.wait.remote(who)
            return who

        async def plain(self, x: Any) -> Any:
            return x

    return Grouped


def test_a_full_group_does_not_hold_the_others_up() -> None:
    gate, actor = Gate.remote(), declare().remote()
    held = [actor.io.remote(gate, "io") for _ in range(2)]
    get(gate.arrived.remote(2))
    other = actor.compute.remote(gate, "compute")
    assert "compute" in get(gate.arrived.remote(3))
    assert get(actor.plain.remote(1)) == 1
    gate.open.remote()
    assert get([*held, other]) == ["io", "io", "compute"]


def test_a_group_is_a_limit() -> None:
    gate, actor = Gate.remote(), declare().remote()
    refs = [actor.io.remote(gate, "io") for _ in range(3)]
    get(gate.arrived.remote(2))
    assert ray.wait([gate.arrived.remote(3)], timeout=0.2)[0] == []
    gate.open.remote()
    assert get(refs) == ["io"] * 3


def test_a_group_by_option() -> None:
    gate, actor = Gate.remote(), declare().remote()
    held = actor.compute.remote(gate, "held")
    get(gate.arrived.remote())
    moved = actor.compute.options(concurrency_group="io").remote(gate, "moved")
    assert get(gate.arrived.remote(2)) == ["held", "moved"]
    gate.open.remote()
    assert get([held, moved]) == ["held", "moved"]


@differs_from_ray("the actor's process aborts")
def test_an_unknown_group_is_an_error_that_leaves_the_actor_alive() -> None:
    actor = declare().remote()
    with pytest.raises((ValueError, ray.exceptions.RayTaskError), match="nowhere"):
        get(actor.plain.options(concurrency_group="nowhere").remote(1))
    assert get(actor.plain.remote(1)) == 1


def test_groups_of_threads() -> None:
    @ray.remote(concurrency_groups={"io": 2})
    class Grouped:
        @ray.method(concurrency_group="io")
        def io(self, gate: Any, who: str) -> str:
            ray.get(gate.wait.remote(who))
            return who

        def plain(self, x: Any) -> Any:
            return x

    gate, actor = Gate.remote(), Grouped.remote()
    held = [actor.io.remote(gate, "io") for _ in range(2)]
    get(gate.arrived.remote(2))
    assert get(actor.plain.remote("free")) == "free"
    gate.open.remote()
    assert get(held) == ["io", "io"]


def test_groups_cannot_be_given_to_options() -> None:
    """They belong to the class, whose methods name them."""
    with pytest.raises(ValueError, match="concurrency_groups"):
        declare().options(concurrency_groups={"io": 1})


@differs_from_ray("a negative size is an OverflowError")
@pytest.mark.parametrize("size", [-1, 0])
def test_a_groups_size_must_be_positive(size: int) -> None:
    class Grouped:
        async def plain(self) -> None:
            pass

    with pytest.raises(ValueError, match="concurrency_groups"):
        ray.remote(concurrency_groups={"io": size})(Grouped).remote()


def test_a_groups_size_must_be_a_number() -> None:
    class Grouped:
        async def plain(self) -> None:
            pass

    with pytest.raises(TypeError):
        ray.remote(concurrency_groups={"io": "two"})(Grouped).remote()
