"""Sessions: ``init``, ``shutdown``, ``is_initialized`` and starting by themselves."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from .api import PEER, ray
from .helpers import PATIENCE, get, run_script
from .support import differs_from_ray, engine_cant, needs_processes, never


@ray.remote
def same(x: Any) -> Any:
    return x


@ray.remote
class Keeper:
    def ping(self) -> str:
        return "pong"


def test_is_initialized(start: Any) -> None:
    assert ray.is_initialized() is False
    start()
    assert ray.is_initialized() is True
    ray.shutdown()
    assert ray.is_initialized() is False


def test_is_initialized_inside_a_task() -> None:
    @ray.remote
    def look() -> bool:
        return bool(ray.is_initialized())

    assert get(look.remote()) is True


def test_shutdown_without_a_session_does_nothing(start: Any) -> None:
    ray.shutdown()
    ray.shutdown()
    assert ray.is_initialized() is False


def test_shutdown_twice(start: Any) -> None:
    start()
    ray.shutdown()
    ray.shutdown()
    assert ray.is_initialized() is False


def test_init_again_after_shutdown(start: Any) -> None:
    for i in range(2):
        start()
        assert get(same.remote(i)) == i
        ray.shutdown()


def test_functions_and_classes_outlive_a_session(start: Any) -> None:
    closed_over = ["kept"]

    @ray.remote
    def f() -> list[str]:
        return closed_over

    start()
    assert get(f.remote()) == ["kept"]
    assert get(Keeper.remote().ping.remote()) == "pong"
    ray.shutdown()
    start()
    assert get(f.remote()) == ["kept"]
    assert get(Keeper.remote().ping.remote()) == "pong"


def test_init_twice_is_a_runtime_error_that_says_how_to_allow_it() -> None:
    with pytest.raises(RuntimeError, match="ignore_reinit_error=True"):
        ray.init()
    assert get(same.remote("goes on")) == "goes on"


def test_init_twice_with_ignore_reinit_error_keeps_the_session() -> None:
    before = ray.get_runtime_context().get_job_id()
    context = ray.init(ignore_reinit_error=True)
    assert ray.get_runtime_context().get_job_id() == before
    assert context.address_info["node_id"] == ray.get_runtime_context().get_node_id()


def test_init_inside_a_task_is_refused() -> None:
    @ray.remote
    def nested() -> str:
        try:
            ray.init()
        except RuntimeError:
            return "refused"
        return "accepted"

    assert get(nested.remote()) == "refused"


# The context that init returns


def test_the_context_is_a_context_manager(start: Any) -> None:
    with start() as context:
        assert ray.is_initialized()
        assert get(same.remote(1)) == 1
        assert context is not None
    assert not ray.is_initialized()


def test_the_context_ends_the_session_on_an_error(start: Any) -> None:
    with pytest.raises(KeyError), start():
        raise KeyError("inside")
    assert not ray.is_initialized()


def test_the_context_can_be_disconnected(start: Any) -> None:
    context = start()
    context.disconnect()
    assert not ray.is_initialized()


def test_the_context_tells_where_it_runs(start: Any) -> None:
    context = start()
    assert context.address_info["node_id"] == ray.get_runtime_context().get_node_id()
    assert context["node_id"] == context.address_info["node_id"]
    assert isinstance(context.python_version, str)
    assert context.ray_version == "2.60.0"


def test_the_contexts_repr_helps(start: Any) -> None:
    text = repr(start())
    assert "python_version" in text and "Context(" in text


@differs_from_ray("the repr does not say what the session has")
def test_the_contexts_repr_says_what_the_session_has(start: Any) -> None:
    assert "num_cpus=2" in repr(start())


# Starting by itself


def test_a_remote_call_starts_a_session(start: Any) -> None:
    assert get(same.remote("started")) == "started"
    assert ray.is_initialized()


def test_an_actor_starts_a_session(start: Any) -> None:
    assert get(Keeper.remote().ping.remote()) == "pong"
    assert ray.is_initialized()


def test_put_starts_a_session(start: Any) -> None:
    assert get(ray.put(1)) == 1
    assert ray.is_initialized()


@pytest.mark.parametrize("name", ["nodes", "cluster_resources", "available_resources"])
def test_asking_about_the_cluster_needs_a_session(start: Any, name: str) -> None:
    with pytest.raises(ray.exceptions.RaySystemError, match="init"):
        getattr(ray, name)()
    assert not ray.is_initialized()


def test_defining_things_does_not_start_a_session(start: Any) -> None:
    @ray.remote
    def f() -> None:
        pass

    @ray.remote
    class C:
        pass

    f.options(num_cpus=2)
    C.options(name="c")
    assert not ray.is_initialized()


def test_a_session_that_started_by_itself_can_be_ended_and_made_again(start: Any) -> None:
    assert get(same.remote(1)) == 1
    ray.shutdown()
    start(num_cpus=1)
    assert ray.cluster_resources()["CPU"] == 1.0


# After the end


@never("dask", "a value that has arrived stays readable after the session; a stored one does not")
def test_refs_of_an_ended_session_are_no_use(start: Any) -> None:
    start()
    ref = same.remote("old")
    assert get(ref) == "old"
    ray.shutdown()
    start()
    for use in (ray.get, same.remote, lambda ref: same.remote([ref])):
        with pytest.raises((ray.exceptions.RayError, ValueError, TypeError)):
            use(ref)


@differs_from_ray("it is a plain Exception")
def test_handles_of_an_ended_session_are_no_use(start: Any) -> None:
    start()
    keeper = Keeper.remote()
    assert get(keeper.ping.remote()) == "pong"
    ray.shutdown()
    start()
    with pytest.raises(ray.exceptions.RayError) as caught:
        ray.get(keeper.ping.remote(), timeout=5)
    assert not isinstance(caught.value, ray.exceptions.GetTimeoutError), "it is no use to wait"


# Arguments


def test_num_cpus(start: Any) -> None:
    start(num_cpus=1)
    assert ray.cluster_resources()["CPU"] == 1.0


def test_object_store_memory_in_bytes(start: Any) -> None:
    start(object_store_memory=100_000_000)
    assert ray.cluster_resources()["object_store_memory"] == 100_000_000


def test_namespace(start: Any) -> None:
    start(namespace="mine")
    assert ray.get_runtime_context().namespace == "mine"


def test_labels(start: Any) -> None:
    start(labels={"team": "blue"})
    assert ray.nodes()[0]["Labels"]["team"] == "blue"


@pytest.mark.parametrize("level", ["warning", "WARNING", logging.WARNING])
def test_logging_level(start: Any, level: Any) -> None:
    start(logging_level=level)
    assert logging.getLogger(ray.__name__).level == logging.WARNING


def test_accepted_and_without_effect_on_results(start: Any) -> None:
    start(
        configure_logging=False,
        log_to_driver=False,
        include_dashboard=False,
        dashboard_host="127.0.0.1",
        address="local",
    )
    assert get(same.remote(1)) == 1


def test_an_address_where_nobody_is_is_a_connection_error(start: Any) -> None:
    with pytest.raises(ConnectionError):
        ray.init(address="auto")
    assert not ray.is_initialized()


def test_resources_are_not_taken_with_an_address(start: Any) -> None:
    with pytest.raises((ValueError, ConnectionError)):
        ray.init(address="auto", num_cpus=1)


def test_an_unknown_argument_is_an_error_that_names_it(start: Any) -> None:
    with pytest.raises((RuntimeError, TypeError), match="no_such_argument"):
        start(no_such_argument=1)
    assert not ray.is_initialized()


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        ({"num_cpus": -1}, "CPU"),
        ({"num_gpus": -1}, "GPU"),
        pytest.param(
            {"resources": {"CPU": 1}}, "num_cpus", marks=differs_from_ray("it is an AssertionError")
        ),
        ({"resources": {"a": -1}}, "a"),
        ({"object_store_memory": 10}, "memory"),
    ],
    ids=lambda value: str(value),
)
def test_bad_values_are_value_errors(start: Any, arguments: dict[str, Any], culprit: str) -> None:
    with pytest.raises(ValueError, match=culprit):
        start(**arguments)
    assert not ray.is_initialized()


def test_arguments_are_by_name_but_the_first(start: Any) -> None:
    with pytest.raises(TypeError):
        ray.init("local", 2)


def test_a_failed_init_can_be_followed_by_a_good_one(start: Any) -> None:
    with pytest.raises(ValueError):
        start(num_cpus=-1)
    start()
    assert get(same.remote(1)) == 1


@differs_from_ray(
    "what init started dies with the thread that called it, and then the driver aborts", run=False
)
def test_init_in_a_thread_is_seen_everywhere(start: Any) -> None:
    thread = threading.Thread(target=start)
    thread.start()
    thread.join(2 * PATIENCE)
    assert ray.is_initialized()
    assert get(same.remote("from the main thread")) == "from the main thread"


def test_a_program_ends_without_shutdown(engine: str, tmp_path: Any) -> None:
    body = """
        @ray.remote
        def f():
            return "done"

        print(ray.get(f.remote()))
    """
    assert "done" in run_script(engine, tmp_path, body)


def test_shutdown_with_tasks_in_flight(engine: str, tmp_path: Any) -> None:
    body = """
        @ray.remote
        def f(x):
            return x

        refs = [f.remote(i) for i in range(50)]
        ray.shutdown()
        print("ended")
    """
    assert "ended" in run_script(engine, tmp_path, body)


@differs_from_ray("what is printed shortly before the end is sometimes lost", run=False)
def test_what_tasks_print_reaches_the_driver_in_order(engine: str, tmp_path: Any) -> None:
    body = """
        @ray.remote
        def f():
            for i in range(200):
                print(f"line {i} end")

        ray.get(f.remote())
    """
    printed = run_script(engine, tmp_path, body)
    places = [printed.index(f"line {i} end") for i in range(200)]
    assert places == sorted(places)


@needs_processes
@differs_from_ray("what is printed shortly before the end is sometimes lost", run=False)
def test_what_tasks_print_says_which_task_and_process(engine: str, tmp_path: Any) -> None:
    body = """
        import os

        @ray.remote
        def speaks():
            print("hello")
            return os.getpid()

        print("PID", ray.get(speaks.remote()), "END")
    """
    printed = run_script(engine, tmp_path, body)
    pid = printed.split("PID ")[1].split(" END")[0]
    [line] = [line for line in printed.splitlines() if "hello" in line]
    assert "speaks" in line and f"pid={pid}" in line


@engine_cant("inline", "a task prints where its driver does")
def test_log_to_driver_false_keeps_it_quiet(engine: str, tmp_path: Any) -> None:
    body = """
        @ray.remote
        def f():
            print("hello from a task")

        ray.get(f.remote())
        ray.shutdown()
    """
    assert "hello from a task" not in run_script(engine, tmp_path, body, arguments={"log_to_driver": False})


@pytest.mark.skipif(bool(PEER), reason="engine= is not an argument of the peer")
def test_an_unknown_engine_is_a_value_error_that_names_those_there_are(start: Any) -> None:
    with pytest.raises(ValueError, match="local"):
        ray.init(engine="no such engine")
