"""Resources: what there is, what is taken, fractions, GPUs, and requests that cannot be met."""

from __future__ import annotations

import os
from typing import Any

import pytest

from .api import ray, submodule
from .helpers import Gate, get, run_script, wait_until
from .support import differs_from_ray

strategies = submodule("util.scheduling_strategies")


def available(name: str) -> float:
    return float(ray.available_resources().get(name, 0))


def settled(name: str, amount: float) -> None:
    """Wait until this much of a resource is available; Ray reports it up to a second late."""
    wait_until(lambda: available(name) == amount, f"{amount} of {name} to be available")


@ray.remote
def hold(gate: Any, who: Any = None) -> Any:
    ray.get(gate.wait.remote(who))
    return who


@ray.remote
class Holder:
    """Holds what it was given for as long as it lives."""

    def ping(self) -> str:
        return "pong"

    def resources(self) -> dict[str, float]:
        return dict(ray.get_runtime_context().get_assigned_resources())

    def gpus(self) -> tuple[list[Any], str | None]:
        return list(ray.get_gpu_ids()), os.environ.get("CUDA_VISIBLE_DEVICES")


@ray.remote
def assigned() -> dict[str, float]:
    return dict(ray.get_runtime_context().get_assigned_resources())


# What there is


def test_cluster_resources_has_the_cpus() -> None:
    assert ray.cluster_resources()["CPU"] == 2.0


def test_cluster_resources_are_floats_by_name() -> None:
    resources = ray.cluster_resources()
    assert all(isinstance(name, str) and isinstance(amount, float) for name, amount in resources.items())


def test_cluster_resources_has_memory_in_bytes() -> None:
    resources = ray.cluster_resources()
    assert resources["memory"] > 1e6
    assert resources["object_store_memory"] > 1e6


def test_each_node_is_a_resource_of_its_own() -> None:
    [node] = ray.nodes()
    assert ray.cluster_resources()[f"node:{node['NodeManagerAddress']}"] == 1.0


def test_nodes_describes_the_one_machine() -> None:
    [node] = ray.nodes()
    assert node["Alive"] is True and node["alive"] is True
    assert node["NodeID"] == ray.get_runtime_context().get_node_id()
    assert node["Resources"]["CPU"] == 2.0
    assert isinstance(node["NodeManagerHostname"], str)
    assert isinstance(node["Labels"], dict)


def test_everything_is_available_when_nothing_runs() -> None:
    settled("CPU", 2.0)


def test_gpus_and_custom_resources_are_those_of_init(start: Any) -> None:
    start(num_cpus=1, num_gpus=2, resources={"licence": 3})
    resources = ray.cluster_resources()
    assert (resources["CPU"], resources["GPU"], resources["licence"]) == (1.0, 2.0, 3.0)


def test_what_there_is_comes_in_whole_numbers(start: Any) -> None:
    """Requests may be fractions; what ``init`` declares may not."""
    with pytest.raises(ValueError, match="whole"):
        start(resources={"half": 0.5})


def test_without_gpus_there_is_no_gpu_resource() -> None:
    assert "GPU" not in ray.cluster_resources()


def test_zero_cpus(start: Any) -> None:
    start(num_cpus=0)
    assert ray.cluster_resources().get("CPU", 0) == 0
    assert get(hold.options(num_cpus=0).remote(_opened(), "ran")) == "ran"


def _opened() -> Any:
    gate = Gate.remote()
    gate.open.remote()
    return gate


# Taking and giving back


def test_a_running_task_takes_one_cpu_and_gives_it_back(start: Any, tmp_path: Any) -> None:
    start(num_cpus=2, resources={"seat": 1})
    gate = Gate.remote()
    ref = hold.options(resources={"seat": 1}).remote(gate)
    get(gate.arrived.remote())
    settled("seat", 0.0)
    gate.open.remote()
    get(ref)
    settled("seat", 1.0)
    settled("CPU", 2.0)


def test_an_actor_takes_no_cpu_unless_told() -> None:
    actor = Holder.remote()
    assert get(actor.ping.remote()) == "pong"
    settled("CPU", 2.0)


def test_an_actor_holds_its_resources_until_it_ends() -> None:
    actor = Holder.options(num_cpus=1).remote()
    assert get(actor.ping.remote()) == "pong"
    settled("CPU", 1.0)
    ray.kill(actor)
    settled("CPU", 2.0)


def test_an_actor_that_ends_with_its_last_handle_gives_back() -> None:
    actor = Holder.options(num_cpus=2).remote()
    assert get(actor.ping.remote()) == "pong"
    settled("CPU", 0.0)
    del actor
    settled("CPU", 2.0)


def test_a_failed_task_gives_back() -> None:
    @ray.remote(num_cpus=2)
    def fail() -> None:
        raise ValueError("failed")

    for _ in range(3):
        with pytest.raises(ValueError):
            get(fail.remote())
    settled("CPU", 2.0)


def test_resources_limit_what_runs_at_once(start: Any) -> None:
    start(num_cpus=2, resources={"licence": 2})
    gate = Gate.remote()
    take = hold.options(num_cpus=0, resources={"licence": 1})
    refs = [take.remote(gate, i) for i in range(4)]
    get(gate.arrived.remote(2))
    assert ray.wait([gate.arrived.remote(3)], timeout=0.3)[0] == []
    gate.open.remote()
    assert get(refs) == [0, 1, 2, 3]


def test_fractions_of_a_cpu(start: Any) -> None:
    start(num_cpus=1)
    gate = Gate.remote()
    quarter = hold.options(num_cpus=0.25)
    refs = [quarter.remote(gate, i) for i in range(4)]
    assert sorted(get(gate.arrived.remote(4))) == [0, 1, 2, 3]
    gate.open.remote()
    assert get(refs) == [0, 1, 2, 3]


def test_a_task_waiting_in_get_gives_back_its_cpu_but_not_its_custom_resources(start: Any) -> None:
    start(num_cpus=1, resources={"seat": 1})
    gate = Gate.remote()
    ref = hold.options(resources={"seat": 1}).remote(gate)
    get(gate.arrived.remote())
    settled("CPU", 1.0)
    assert available("seat") == 0.0
    gate.open.remote()
    get(ref)


def test_zero_cpu_tasks_run_though_all_cpus_are_taken() -> None:
    actor = Holder.options(num_cpus=2).remote()
    get(actor.ping.remote())
    assert get(hold.options(num_cpus=0).remote(_opened(), "free")) == "free"
    ray.kill(actor)


def test_a_task_waits_for_a_busy_resource() -> None:
    actor = Holder.options(num_cpus=2).remote()
    get(actor.ping.remote())
    ref = assigned.remote()
    assert ray.wait([ref], timeout=0.3)[0] == []
    ray.kill(actor)
    assert get(ref)["CPU"] == 1.0


# What a task is given


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"CPU": 1.0}),
        ({"num_cpus": 0.5}, {"CPU": 0.5}),
        ({"num_cpus": 2}, {"CPU": 2.0}),
        ({"num_cpus": 0}, {}),
    ],
    ids=["default", "half", "two", "none"],
)
def test_a_task_knows_what_it_was_given(options: dict[str, float], expected: dict[str, float]) -> None:
    task = assigned.options(**options) if options else assigned
    assert get(task.remote()) == expected


def test_a_task_knows_its_custom_resources(start: Any) -> None:
    start(num_cpus=1, resources={"licence": 2})
    assert get(assigned.options(resources={"licence": 1.5}).remote()) == {"CPU": 1.0, "licence": 1.5}


def test_memory_is_a_resource_like_others() -> None:
    assert get(assigned.options(memory=1_000_000).remote())["memory"] == 1_000_000


def test_an_actor_knows_what_it_was_given() -> None:
    assert get(Holder.remote().resources.remote()) == {}
    actor = Holder.options(num_cpus=1).remote()
    assert get(actor.resources.remote()) == {"CPU": 1.0}
    ray.kill(actor)


# GPUs


def test_gpu_ids_and_cuda_visible_devices(start: Any) -> None:
    start(num_cpus=2, num_gpus=2)

    @ray.remote(num_gpus=1)
    def look() -> tuple[list[Any], str | None]:
        return list(ray.get_gpu_ids()), os.environ.get("CUDA_VISIBLE_DEVICES")

    [gpu], visible = get(look.remote())
    assert str(gpu) in ("0", "1")
    assert visible == str(gpu)


def test_two_gpus_for_one_task(start: Any) -> None:
    start(num_cpus=2, num_gpus=2)

    @ray.remote(num_gpus=2)
    def look() -> tuple[list[Any], str | None]:
        return list(ray.get_gpu_ids()), os.environ.get("CUDA_VISIBLE_DEVICES")

    gpus, visible = get(look.remote())
    assert sorted(map(str, gpus)) == ["0", "1"]
    assert visible == ",".join(map(str, gpus))


def test_actors_get_different_gpus_and_keep_them(start: Any) -> None:
    start(num_cpus=2, num_gpus=2)
    actors = [Holder.options(num_gpus=1).remote() for _ in range(2)]
    seen = get([actor.gpus.remote() for actor in actors])
    assert sorted(visible for _, visible in seen) == ["0", "1"]
    assert get([actor.gpus.remote() for actor in actors]) == seen


def test_fractions_of_a_gpu_share_one(start: Any) -> None:
    start(num_cpus=2, num_gpus=1)
    actors = [Holder.options(num_gpus=0.5).remote() for _ in range(2)]
    assert [visible for _, visible in get([actor.gpus.remote() for actor in actors])] == ["0", "0"]


def test_a_gpu_fraction_above_one_must_be_whole(start: Any) -> None:
    start(num_cpus=2, num_gpus=2)
    with pytest.raises(ValueError, match="(?i)whole number|integer|fraction"):
        assigned.options(num_gpus=1.5).remote()


def test_gpus_have_the_names_that_the_program_sees(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7")
    start(num_cpus=2, num_gpus=3)

    @ray.remote
    def look() -> tuple[list[Any], str | None]:
        return list(ray.get_gpu_ids()), os.environ.get("CUDA_VISIBLE_DEVICES")

    assert get(look.options(num_gpus=2).remote()) == (["4", "5"], "4,5")
    [gpu], visible = get(look.options(num_gpus=0.5).remote())
    assert gpu in ("4", "5", "7") and visible == gpu
    assert get(look.remote()) == ([], "4,5,7"), "who asks for none is not kept from them"


def test_more_gpus_than_the_program_sees(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    with pytest.raises(ValueError, match="CUDA_VISIBLE_DEVICES contains"):
        start(num_cpus=2, num_gpus=3)


def test_get_gpu_ids_without_gpus_is_empty() -> None:
    @ray.remote
    def look() -> list[Any]:
        return list(ray.get_gpu_ids())

    assert get(look.remote()) == []


def test_accelerator_ids_of_the_context(start: Any) -> None:
    start(num_cpus=2, num_gpus=2)

    @ray.remote(num_gpus=1)
    def look() -> Any:
        return ray.get_runtime_context().get_accelerator_ids()["GPU"]

    [gpu] = get(look.remote())
    assert gpu in ("0", "1")


# Requests that cannot be met


def test_an_infeasible_task_waits() -> None:
    ref = assigned.options(num_cpus=64).remote()
    assert ray.wait([ref], timeout=0.3)[0] == []
    ray.cancel(ref)


def test_an_infeasible_task_holds_nobody_up() -> None:
    stuck = assigned.options(resources={"unobtainium": 1}).remote()
    assert get([assigned.remote() for _ in range(3)]) == [{"CPU": 1.0}] * 3
    ray.cancel(stuck)


def test_an_infeasible_task_can_be_cancelled() -> None:
    ref = assigned.options(resources={"unobtainium": 1}).remote()
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        get(ref)


def test_an_infeasible_actor_waits_and_can_be_killed() -> None:
    actor = Holder.options(resources={"unobtainium": 1}).remote()
    ref = actor.ping.remote()
    assert ray.wait([ref], timeout=0.3)[0] == []
    ray.kill(actor)
    with pytest.raises(ray.exceptions.RayActorError):
        get(ref)


@differs_from_ray("the warning comes many seconds later")
def test_an_infeasible_request_warns_at_once_and_says_what_is_missing(engine: str, tmp_path: Any) -> None:
    body = """
        @ray.remote(resources={"unobtainium": 1})
        def stuck():
            pass

        import logging
        import time

        told = []

        class Listener(logging.Handler):
            def emit(self, record):
                told.append(record.getMessage())

        logging.getLogger("skate").addHandler(Listener())
        ref = stuck.remote()
        deadline = time.monotonic() + 30
        while not told and time.monotonic() < deadline:
            ray.wait([ref], timeout=0.1)
        print(told, flush=True)
    """
    assert "unobtainium" in run_script(engine, tmp_path, body)


# Where to run


@pytest.mark.parametrize("strategy", ["DEFAULT", "SPREAD"])
def test_scheduling_strategies_by_name(strategy: str) -> None:
    assert get(assigned.options(scheduling_strategy=strategy).remote()) == {"CPU": 1.0}
    assert get(Holder.options(scheduling_strategy=strategy).remote().ping.remote()) == "pong"


def test_node_affinity_to_this_node() -> None:
    here = ray.get_runtime_context().get_node_id()
    for soft in (False, True):
        strategy = strategies.NodeAffinitySchedulingStrategy(here, soft=soft)
        assert get(assigned.options(scheduling_strategy=strategy).remote()) == {"CPU": 1.0}


def test_hard_node_affinity_to_a_node_that_is_not_there_is_an_error() -> None:
    nowhere = "a" * len(ray.get_runtime_context().get_node_id())
    strategy = strategies.NodeAffinitySchedulingStrategy(nowhere, soft=False)
    with pytest.raises(ray.exceptions.TaskUnschedulableError):
        get(assigned.options(scheduling_strategy=strategy).remote())
    with pytest.raises(ray.exceptions.ActorUnschedulableError):
        get(Holder.options(scheduling_strategy=strategy).remote().ping.remote())


def test_soft_node_affinity_to_a_node_that_is_not_there_runs_elsewhere() -> None:
    nowhere = "a" * len(ray.get_runtime_context().get_node_id())
    strategy = strategies.NodeAffinitySchedulingStrategy(nowhere, soft=True)
    assert get(assigned.options(scheduling_strategy=strategy).remote()) == {"CPU": 1.0}


def test_an_unknown_strategy_is_an_error() -> None:
    with pytest.raises(ValueError, match="SOMEWHERE"):
        assigned.options(scheduling_strategy="SOMEWHERE").remote()


def test_label_selector_of_a_label_the_node_has(start: Any) -> None:
    start(num_cpus=2, labels={"zone": "north"})
    assert ray.nodes()[0]["Labels"]["zone"] == "north"
    assert get(assigned.options(label_selector={"zone": "north"}).remote()) == {"CPU": 1.0}
    assert get(assigned.options(label_selector={"zone": "!south"}).remote()) == {"CPU": 1.0}
    assert get(assigned.options(label_selector={"zone": "in(north, south)"}).remote()) == {"CPU": 1.0}
    assert get(Holder.options(label_selector={"zone": "north"}).remote().ping.remote()) == "pong"


def test_label_selector_of_a_label_no_node_has_waits(start: Any) -> None:
    start(num_cpus=2, labels={"zone": "north"})
    ref = assigned.options(label_selector={"zone": "south"}).remote()
    assert ray.wait([ref], timeout=0.3)[0] == []
    ray.cancel(ref)
