"""The runtime context: who and where the running code is."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from .api import ray, submodule
from .helpers import PATIENCE, get
from .support import needs_processes

NAMES = ("get_job_id", "get_node_id", "get_worker_id", "get_task_id", "get_actor_id")


def ids() -> dict[str, Any]:
    context = ray.get_runtime_context()
    return {name: getattr(context, name)() for name in NAMES}


@ray.remote
def task_ids() -> dict[str, Any]:
    return ids()


@ray.remote
class Actor:
    def ids(self) -> dict[str, Any]:
        return ids()

    def name(self) -> Any:
        return ray.get_runtime_context().get_actor_name()

    def task_name(self) -> Any:
        return ray.get_runtime_context().get_task_name()

    def function_name(self) -> Any:
        return ray.get_runtime_context().get_task_function_name()

    def reconstructed(self) -> bool:
        return bool(ray.get_runtime_context().was_current_actor_reconstructed)

    def me(self) -> Any:
        return ray.get_runtime_context().current_actor


def is_hex(text: Any) -> bool:
    return isinstance(text, str) and len(text) > 0 and set(text) <= set("0123456789abcdef")


def test_the_driver_has_a_job_a_node_and_a_worker_id() -> None:
    mine = ids()
    assert is_hex(mine["get_job_id"]) and is_hex(mine["get_node_id"]) and is_hex(mine["get_worker_id"])
    assert mine == ids(), "ids do not change"


def test_the_driver_has_no_task_and_no_actor() -> None:
    context = ray.get_runtime_context()
    assert context.get_task_id() is None
    assert context.get_actor_id() is None
    assert context.get_actor_name() is None
    assert context.get_task_name() is None
    assert context.get_task_function_name() is None


def test_a_task_has_ids_of_its_own() -> None:
    a, b = get([task_ids.remote(), task_ids.remote()])
    assert is_hex(a["get_task_id"]) and a["get_task_id"] != b["get_task_id"]
    assert a["get_actor_id"] is None


def test_tasks_share_the_drivers_job_and_node() -> None:
    mine, theirs = ids(), get(task_ids.remote())
    assert theirs["get_job_id"] == mine["get_job_id"]
    assert theirs["get_node_id"] == mine["get_node_id"]


@needs_processes
def test_a_worker_has_an_id_of_its_own() -> None:
    assert get(task_ids.remote())["get_worker_id"] != ids()["get_worker_id"]


def test_an_actors_method_has_task_and_actor_ids() -> None:
    actor = Actor.remote()
    first, second = get([actor.ids.remote(), actor.ids.remote()])
    assert first["get_actor_id"] == second["get_actor_id"] == actor._actor_id.hex()
    assert first["get_task_id"] != second["get_task_id"]
    assert first["get_worker_id"] == second["get_worker_id"]


def test_the_constructor_knows_its_actor() -> None:
    @ray.remote
    class Early:
        def __init__(self) -> None:
            self.early = ray.get_runtime_context().get_actor_id()

        def both(self) -> tuple[Any, Any]:
            return self.early, ray.get_runtime_context().get_actor_id()

    early, late = get(Early.remote().both.remote())
    assert early == late and is_hex(early)


def test_a_tasks_name_is_its_functions_unless_named() -> None:
    @ray.remote
    def whoami() -> Any:
        return ray.get_runtime_context().get_task_name()

    assert "whoami" in get(whoami.remote())
    assert get(whoami.options(name="my task").remote()) == "my task"


def test_a_tasks_function_name_stays() -> None:
    @ray.remote
    def whoami() -> Any:
        return ray.get_runtime_context().get_task_function_name()

    assert get(whoami.options(name="my task").remote()).endswith("test_context.whoami")


def test_an_actor_methods_name_has_class_and_method() -> None:
    actor = Actor.remote()
    assert get(actor.task_name.remote()) == "Actor.task_name"
    assert get(actor.task_name.options(name="renamed").remote()) == "renamed"
    assert get(actor.function_name.remote()).endswith("test_context.Actor.function_name")


def test_an_actors_name() -> None:
    assert get(Actor.options(name="named in test_context").remote().name.remote()) == "named in test_context"
    assert get(Actor.remote().name.remote()) == ""


def test_current_actor_is_a_handle_to_itself() -> None:
    actor = Actor.remote()
    assert get(actor.me.remote()) == actor


def test_current_actor_outside_an_actor_is_an_error() -> None:
    with pytest.raises(RuntimeError):
        _ = ray.get_runtime_context().current_actor


def test_a_new_actor_was_not_reconstructed() -> None:
    assert get(Actor.remote().reconstructed.remote()) is False


def test_was_current_actor_reconstructed_outside_an_actor_is_refused() -> None:
    with pytest.raises(AssertionError, match="only available"):
        _ = ray.get_runtime_context().was_current_actor_reconstructed


def test_assigned_resources_of_the_driver_are_refused() -> None:
    with pytest.raises(AssertionError, match="when the process is a"):
        ray.get_runtime_context().get_assigned_resources()


def test_the_driver_can_not_be_cancelled() -> None:
    with pytest.raises(RuntimeError, match="when the process is a worker"):
        ray.get_runtime_context().is_canceled()


def test_the_environment_is_a_runtime_env() -> None:
    runtime_env = submodule("runtime_env")
    assert isinstance(ray.get_runtime_context().runtime_env, runtime_env.RuntimeEnv)


def test_the_machine_s_labels_have_its_id() -> None:
    context = ray.get_runtime_context()
    assert context.get_node_labels()["ray.io/node-id"] == context.get_node_id()


def test_no_placement_group_is_a_nil_id() -> None:
    assert ray.get_runtime_context().current_placement_group_id.is_nil()


def test_the_namespace_is_the_same_everywhere() -> None:
    @ray.remote
    def namespace() -> Any:
        return ray.get_runtime_context().namespace

    mine = ray.get_runtime_context().namespace
    assert isinstance(mine, str) and mine
    assert get(namespace.remote()) == mine


def test_an_unnamed_namespace_is_new_in_each_session(start: Any) -> None:
    start()
    first = ray.get_runtime_context().namespace
    ray.shutdown()
    start()
    assert ray.get_runtime_context().namespace != first


def test_a_task_is_not_cancelled_while_it_runs() -> None:
    @ray.remote
    def look() -> Any:
        return ray.get_runtime_context().is_canceled()

    assert get(look.remote()) is False


def test_get_gives_a_mapping_of_ids() -> None:
    @ray.remote
    def look() -> dict[str, Any]:
        return dict(ray.get_runtime_context().get())

    seen = get(look.remote())
    assert {"job_id", "node_id", "namespace"} <= set(seen)


def test_node_labels() -> None:
    assert isinstance(ray.get_runtime_context().get_node_labels(), dict)


def test_nested_tasks_have_ids_of_their_own() -> None:
    @ray.remote
    def outer() -> tuple[str, str, str]:
        before = ray.get_runtime_context().get_task_id()
        inner = ray.get(task_ids.remote())["get_task_id"]
        return before, inner, ray.get_runtime_context().get_task_id()

    before, inner, after = get(outer.remote())
    assert before == after != inner


def test_a_thread_in_the_driver_is_in_the_same_job() -> None:
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(ray.get_runtime_context().get_job_id()))
    thread.start()
    thread.join(PATIENCE)
    assert seen == [ray.get_runtime_context().get_job_id()]


def test_asking_for_the_context_starts_a_session(start: Any) -> None:
    assert is_hex(ray.get_runtime_context().get_job_id())
    assert ray.is_initialized()


def test_a_task_bears_the_plain_name_of_its_function() -> None:
    def inner() -> Any:
        return ray.get_runtime_context().get_task_name()

    assert get(ray.remote(inner).remote()) == "inner"


def test_the_dictionary_holds_ids() -> None:
    def look() -> tuple[dict[str, Any], str | None]:
        context = ray.get_runtime_context()
        return context.get(), context.get_task_id()

    found, task_id = get(ray.remote(look).remote())
    assert isinstance(found["job_id"], ray.JobID) and isinstance(found["node_id"], ray.NodeID)
    assert found["task_id"].hex() == task_id
