"""Runtime environments: environment variables for a task, an actor or a whole session."""

from __future__ import annotations

import os
from typing import Any

import pytest

from .api import ray, submodule
from .helpers import get
from .support import needs_processes

NAME = "CONFORMANCE_VARIABLE"
OTHER = "CONFORMANCE_OTHER"


@ray.remote
def read(name: str = NAME) -> str | None:
    return os.environ.get(name)


@ray.remote
class Reader:
    def read(self, name: str = NAME) -> str | None:
        return os.environ.get(name)

    def child(self, name: str = NAME) -> Any:
        return ray.get(read.remote(name))


def env(**variables: str) -> dict[str, Any]:
    return {"env_vars": variables}


def test_variables_of_a_task() -> None:
    assert get(read.options(runtime_env=env(**{NAME: "task"})).remote()) == "task"


def test_variables_in_the_decorator() -> None:
    @ray.remote(runtime_env={"env_vars": {NAME: "decorated"}})
    def look() -> str | None:
        return os.environ.get(NAME)

    assert get(look.remote()) == "decorated"


def test_variables_do_not_leak_to_other_tasks() -> None:
    assert get(read.options(runtime_env=env(**{NAME: "mine"})).remote()) == "mine"
    assert get([read.remote() for _ in range(4)]) == [None] * 4


def test_variables_do_not_leak_to_the_driver() -> None:
    get(read.options(runtime_env=env(**{NAME: "mine"})).remote())
    assert NAME not in os.environ


def test_two_environments_side_by_side() -> None:
    refs = [read.options(runtime_env=env(**{NAME: str(i % 2)})).remote() for i in range(6)]
    assert get(refs) == ["0", "1"] * 3


def test_variables_of_an_actor() -> None:
    actor = Reader.options(runtime_env=env(**{NAME: "actor"})).remote()
    assert get([actor.read.remote(), actor.read.remote(OTHER)]) == ["actor", None]


def test_variables_of_an_actors_children() -> None:
    actor = Reader.options(runtime_env=env(**{NAME: "parent"})).remote()
    assert get(actor.child.remote()) == "parent"


def test_variables_of_a_tasks_children() -> None:
    @ray.remote
    def parent() -> Any:
        return ray.get([read.remote(), read.options(runtime_env=env(**{NAME: "child"})).remote()])

    assert get(parent.options(runtime_env=env(**{NAME: "parent"})).remote()) == ["parent", "child"]


def test_a_childs_variables_add_to_its_parents() -> None:
    @ray.remote
    def parent() -> Any:
        child = read.options(runtime_env=env(**{OTHER: "child"}))
        return ray.get([child.remote(NAME), child.remote(OTHER)])

    assert get(parent.options(runtime_env=env(**{NAME: "parent"})).remote()) == ["parent", "child"]


def test_variables_of_the_session(start: Any) -> None:
    start(runtime_env=env(**{NAME: "session"}))
    assert get(read.remote()) == "session"
    assert get(Reader.remote().read.remote()) == "session"


def test_a_tasks_variables_add_to_the_sessions_and_win(start: Any) -> None:
    start(runtime_env=env(**{NAME: "session", OTHER: "other"}))
    task = read.options(runtime_env=env(**{NAME: "task"}))
    assert get([task.remote(NAME), task.remote(OTHER)]) == ["task", "other"]
    assert get(read.remote()) == "session"


@needs_processes
def test_tasks_see_the_drivers_environment_of_the_start(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "from the driver")
    start()
    assert get(read.remote()) == "from the driver"
    monkeypatch.setenv(NAME, "changed later")
    assert get(read.options(runtime_env=env(**{OTHER: "x"})).remote()) == "from the driver"


def test_runtime_env_objects_are_taken_too() -> None:
    runtime_env = submodule("runtime_env").RuntimeEnv(env_vars={NAME: "object"})
    assert get(read.options(runtime_env=runtime_env).remote()) == "object"


def test_the_context_knows_the_runtime_env() -> None:
    @ray.remote
    def look() -> Any:
        return dict(ray.get_runtime_context().runtime_env)["env_vars"]

    assert get(look.options(runtime_env=env(**{NAME: "known"})).remote()) == {NAME: "known"}


def test_an_empty_runtime_env() -> None:
    assert get(read.options(runtime_env={}).remote()) is None


@pytest.mark.parametrize("bad", [{"env_vars": {NAME: 1}}, {"env_vars": ["a"]}], ids=["value", "list"])
def test_variables_must_be_text(bad: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="env_vars"):
        read.options(runtime_env=bad).remote()


def test_a_runtime_env_that_is_no_mapping_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="runtime_env"):
        read.options(runtime_env=3).remote()
