"""Named actors: finding, namespaces, get_if_exists and detached lifetime."""

from __future__ import annotations

import gc
import uuid
from enum import StrEnum
from typing import Any

import pytest

from .api import ray, submodule
from .helpers import get, run_script, wait_until
from .support import differs_from_ray

util = submodule("util")


@ray.remote
class Counter:
    def __init__(self, start: int = 0) -> None:
        self.value = start

    def add(self) -> int:
        self.value += 1
        return self.value


@pytest.fixture
def name() -> str:
    """A name no other test uses."""
    return f"actor-{uuid.uuid4().hex[:8]}"


def names() -> list[str]:
    return list(util.list_named_actors())


def test_get_actor_finds_it_by_name(name: str) -> None:
    counter = Counter.options(name=name).remote()
    assert get(counter.add.remote()) == 1
    again = ray.get_actor(name)
    assert get(again.add.remote()) == 2
    assert again == counter


def test_get_actor_inside_a_task(name: str) -> None:
    counter = Counter.options(name=name).remote()

    @ray.remote
    def use() -> int:
        return int(ray.get(ray.get_actor(name).add.remote()))

    assert get(use.remote()) == 1
    assert get(counter.add.remote()) == 2


def test_an_unknown_name_is_a_value_error_that_says_it(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        ray.get_actor(name)


@pytest.mark.parametrize("bad", ["", None, 3], ids=repr)
def test_a_bad_name_for_get_actor_is_a_value_error(bad: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        ray.get_actor(bad)


def test_an_empty_name_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="name"):
        Counter.options(name="").remote()


def test_a_name_that_is_not_text_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="name"):
        Counter.options(name=3).remote()


def test_a_taken_name_is_a_value_error(name: str) -> None:
    counter = Counter.options(name=name).remote()
    with pytest.raises(ValueError, match=name) as caught:
        Counter.options(name=name).remote()
    assert isinstance(caught.value, ray.exceptions.ActorAlreadyExistsError)
    assert get(counter.add.remote()) == 1


def test_get_if_exists_gives_the_one_that_is_there(name: str) -> None:
    first = Counter.options(name=name, get_if_exists=True).remote(10)
    second = Counter.options(name=name, get_if_exists=True).remote(99)
    assert first == second
    assert get([first.add.remote(), second.add.remote()]) == [11, 12]


def test_get_if_exists_needs_a_name() -> None:
    with pytest.raises(ValueError, match="name"):
        Counter.options(get_if_exists=True).remote()


def test_a_name_is_free_again_after_kill(name: str) -> None:
    counter = Counter.options(name=name).remote()
    assert get(counter.add.remote()) == 1
    ray.kill(counter)

    def taken() -> bool:
        try:
            ray.get_actor(name)
        except ValueError:
            return False
        return True

    wait_until(lambda: not taken(), "the name to be free")
    assert get(Counter.options(name=name).remote(5).add.remote()) == 6


def test_a_name_alone_does_not_keep_an_actor_alive(name: str) -> None:
    counter = Counter.options(name=name).remote()
    assert get(counter.add.remote()) == 1
    del counter
    gc.collect()
    wait_until(lambda: name not in names(), "the actor to end with its last handle")
    with pytest.raises(ValueError, match=name):
        ray.get_actor(name)


def test_a_detached_actor_outlives_its_handles(name: str) -> None:
    counter = Counter.options(name=name, lifetime="detached").remote()
    assert get(counter.add.remote()) == 1
    del counter
    gc.collect()
    assert get(ray.get_actor(name).add.remote()) == 2
    ray.kill(ray.get_actor(name))


def test_a_detached_actor_outlives_the_task_that_made_it(name: str) -> None:
    @ray.remote
    def make() -> int:
        return int(ray.get(Counter.options(name=name, lifetime="detached").remote().add.remote()))

    assert get(make.remote()) == 1
    assert get(ray.get_actor(name).add.remote()) == 2
    ray.kill(ray.get_actor(name))


def test_lifetime_takes_two_words_only(name: str) -> None:
    with pytest.raises(ValueError, match="lifetime"):
        Counter.options(name=name, lifetime="forever").remote()
    assert get(Counter.options(name=name, lifetime="non_detached").remote().add.remote()) == 1


def test_a_namespace_keeps_names_apart(name: str) -> None:
    here = Counter.options(name=name).remote()
    there = Counter.options(name=name, namespace="elsewhere").remote(100)
    assert get([here.add.remote(), there.add.remote()]) == [1, 101]
    assert ray.get_actor(name) == here
    assert ray.get_actor(name, namespace="elsewhere") == there
    with pytest.raises(ValueError, match=name):
        ray.get_actor(name, namespace="a third")


def test_an_empty_namespace_is_a_value_error(name: str) -> None:
    with pytest.raises(ValueError, match="namespace"):
        Counter.options(name=name, namespace="").remote()


def test_init_sets_the_namespace(start: Any, name: str) -> None:
    start(namespace="ours")
    counter = Counter.options(name=name).remote()
    assert ray.get_actor(name, namespace="ours") == counter
    assert ray.get_runtime_context().namespace == "ours"


def test_tasks_and_actors_are_in_the_drivers_namespace(start: Any, name: str) -> None:
    start(namespace="ours")

    @ray.remote
    def make() -> Any:
        return Counter.options(name=name).remote(), ray.get_runtime_context().namespace

    counter, namespace = get(make.remote())
    assert namespace == "ours"
    assert ray.get_actor(name, namespace="ours") == counter


def test_list_named_actors(name: str) -> None:
    counter = Counter.options(name=name).remote()
    assert get(counter.add.remote()) == 1
    assert name in names()


def test_list_named_actors_of_all_namespaces(name: str) -> None:
    there = Counter.options(name=name, namespace="elsewhere").remote()
    assert get(there.add.remote()) == 1
    assert name not in names()
    assert {"name": name, "namespace": "elsewhere"} in util.list_named_actors(all_namespaces=True)


def test_unnamed_actors_are_not_listed() -> None:
    before = names()
    counter = Counter.remote()
    assert get(counter.add.remote()) == 1
    assert names() == before


@differs_from_ray("a handle from get_actor does not keep the actor alive")
def test_a_handle_from_get_actor_counts_as_a_handle(name: str) -> None:
    counter = Counter.options(name=name).remote()
    assert get(counter.add.remote()) == 1
    again = ray.get_actor(name)
    del counter
    gc.collect()
    assert get(again.add.remote()) == 2


def test_a_handle_from_get_actor_can_be_passed_on(name: str) -> None:
    counter = Counter.options(name=name).remote()

    @ray.remote
    def use(handle: Any) -> int:
        return int(ray.get(handle.add.remote()))

    assert get(use.remote(ray.get_actor(name))) == 1
    assert get(counter.add.remote()) == 2


def test_get_actor_waits_for_an_actor_that_is_being_made(name: str) -> None:
    """A name is there as soon as ``remote`` has returned, though the constructor may not have run."""
    counter = Counter.options(name=name).remote(1)
    assert get(ray.get_actor(name).add.remote()) == 2
    del counter


def test_a_detached_actor_ends_with_the_session_it_started(engine: str, tmp_path: Any, name: str) -> None:
    body = f"""
        @ray.remote
        class Counter:
            def add(self):
                return 1

        counter = Counter.options(name={name!r}, lifetime="detached").remote()
        assert ray.get(counter.add.remote()) == 1
        ray.shutdown()
        print("ended")
    """
    assert "ended" in run_script(engine, tmp_path, body)


class Name(StrEnum):
    """Names as a program may keep them."""

    FIRST = "first of its kind"


def test_a_name_may_be_a_member_of_an_enumeration() -> None:
    @ray.remote
    class Named:
        def here(self) -> str:
            return "here"

    actor = Named.options(name=Name.FIRST).remote()
    assert get(actor.here.remote()) == "here"
    assert get(ray.get_actor(Name.FIRST).here.remote()) == "here"
    assert get(ray.get_actor(Name.FIRST.value).here.remote()) == "here"
