from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.conformance.api import ray, submodule

util = submodule("util")


class Locked:
    def __init__(self, value: int) -> None:
        self.value = value
        self.lock = threading.Lock()


class Derived(Locked):
    pass


@pytest.fixture
def registered() -> Any:
    util.register_serializer(Locked, serializer=lambda each: each.value, deserializer=Locked)
    yield Locked
    util.deregister_serializer(Locked)


@ray.remote
def value_of(each: Any) -> int:
    return int(each.value)


def test_without_it_the_object_cannot_be_sent() -> None:
    with pytest.raises(TypeError, match="lock"):
        ray.put(Locked(1))


def test_put_arguments_and_nested_objects(registered: Any) -> None:
    assert ray.get(ray.put(Locked(5))).value == 5
    assert ray.get(value_of.remote(Locked(6))) == 6
    nested = ray.get(ray.put({"a": [Locked(1), Locked(2)]}))
    assert [each.value for each in nested["a"]] == [1, 2]


def test_subclasses_are_not_meant(registered: Any) -> None:
    with pytest.raises(TypeError, match="lock"):
        ray.put(Derived(1))


def test_deregistering_undoes_it_and_may_be_repeated(registered: Any) -> None:
    util.deregister_serializer(Locked)
    with pytest.raises(TypeError, match="lock"):
        ray.put(Locked(1))
    util.deregister_serializer(Locked)


def test_what_is_not_a_class_or_function_is_refused(session: str) -> None:
    if session == "ray":
        pytest.skip("Ray does not check")
    with pytest.raises(TypeError, match="cls"):
        util.register_serializer(5, serializer=str, deserializer=int)
    with pytest.raises(TypeError, match="deserializer"):
        util.register_serializer(Locked, serializer=str, deserializer=None)
