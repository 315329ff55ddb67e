"""Placement groups: reserving, running inside, children, names, removal, and what can't be."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from .api import ray, submodule
from .helpers import PATIENCE, Gate, get, wait_until
from .support import differs_from_ray

if TYPE_CHECKING:
    from collections.abc import Callable

pg = submodule("util.placement_group")
strategies = submodule("util.scheduling_strategies")
Inside = strategies.PlacementGroupSchedulingStrategy


@ray.remote
def where() -> tuple[str | None, bool, dict[str, float]]:
    context = ray.get_runtime_context()
    captures = context.should_capture_child_tasks_in_placement_group
    return context.get_placement_group_id(), captures, dict(context.get_assigned_resources())


@ray.remote
class Member:
    """An actor of a group."""

    def where(self) -> tuple[str | None, bool]:
        context = ray.get_runtime_context()
        captures = context.should_capture_child_tasks_in_placement_group
        return context.get_placement_group_id(), captures

    def child(self) -> Any:
        return ray.get(where.remote())

    def child_elsewhere(self) -> Any:
        return ray.get(where.options(placement_group=None).remote())

    def current(self) -> Any:
        return pg.get_current_placement_group()


@ray.remote(max_retries=0)
def hold(gate: Any) -> None:
    ray.get(gate.wait.remote())


def free(name: str) -> float:
    return float(ray.available_resources().get(name, 0))


def settled(name: str, amount: float) -> None:
    """Wait until this much of a resource is available; Ray reports it up to a second late."""
    wait_until(lambda: free(name) == amount, f"{amount} of {name} to be available")


@pytest.fixture
def group() -> Any:
    made = pg.placement_group([{"CPU": 1}, {"CPU": 0.5, "memory": 1000}])
    assert made.wait(PATIENCE)
    yield made
    pg.remove_placement_group(made)
    settled("CPU", 2)


def test_the_function_and_the_module_have_one_name() -> None:
    assert ray.util.placement_group is pg.placement_group
    assert ray.util.remove_placement_group is pg.remove_placement_group


def test_what_is_reserved_shows_among_the_resources(group: Any) -> None:
    id = group.id.hex()
    settled("CPU", 0.5)
    found = ray.available_resources()
    assert found[f"CPU_group_0_{id}"] == 1
    assert found[f"CPU_group_1_{id}"] == 0.5
    assert found[f"CPU_group_{id}"] == 1.5
    assert found[f"memory_group_1_{id}"] == 1000
    assert found[f"bundle_group_{id}"] == 2000
    assert ray.cluster_resources()["CPU"] == 2


def test_ready_gives_the_group_itself(group: Any) -> None:
    assert get(group.ready()) == group


def test_facts_of_a_group(group: Any) -> None:
    assert group.bundle_count == 2
    assert group.bundle_specs == [{"CPU": 1}, {"CPU": 0.5, "memory": 1000}]
    assert not group.is_empty
    assert pg.PlacementGroup.empty().is_empty
    copy = pickle.loads(pickle.dumps(group))
    assert copy == group
    assert hash(copy) == hash(group)
    assert {group: 1}[copy] == 1


def test_the_table(group: Any) -> None:
    row = pg.placement_group_table(group)
    assert row["placement_group_id"] == group.id.hex()
    assert row["state"] == "CREATED"
    assert row["strategy"] == "PACK"
    assert row["bundles"] == {0: {"CPU": 1.0}, 1: {"CPU": 0.5, "memory": 1000.0}}
    assert row["bundles_to_node_id"] == dict.fromkeys((0, 1), ray.nodes()[0]["NodeID"])
    assert pg.placement_group_table()[group.id.hex()]["state"] == "CREATED"


@pytest.mark.parametrize("index", [-1, 0])
def test_a_task_runs_in_a_group(group: Any, index: int) -> None:
    inside = where.options(scheduling_strategy=Inside(group, index))
    assert get(inside.remote()) == (group.id.hex(), False, {"CPU": 1.0})


def test_a_task_can_say_it_in_the_older_way(group: Any) -> None:
    inside = where.options(num_cpus=0.5, placement_group=group, placement_group_bundle_index=1)
    assert get(inside.remote()) == (group.id.hex(), False, {"CPU": 0.5})


def test_a_task_outside_is_in_none(group: Any) -> None:
    outside = where.options(num_cpus=0.5)
    assert get(outside.remote())[:2] == (None, False)
    assert get(outside.options(scheduling_strategy=Inside(None)).remote())[:2] == (None, False)
    assert pg.get_current_placement_group() is None


def test_tasks_of_a_bundle_take_turns(group: Any) -> None:
    gate = Gate.remote()
    name = f"memory_group_1_{group.id.hex()}"
    inside = hold.options(num_cpus=0, memory=1000, scheduling_strategy=Inside(group, 1))
    refs = [inside.remote(gate) for _ in range(2)]
    get(gate.arrived.remote(1))
    wait_until(lambda: free(name) == 0, "the bundle to be taken")
    ray.get(gate.open.remote())
    get(refs)
    settled(name, 1000)


def test_children_join_the_group_if_it_captures_them(group: Any) -> None:
    member = Member.options(scheduling_strategy=Inside(group, 0, True)).remote()
    id = group.id.hex()
    assert get(member.where.remote()) == (id, True)
    assert get(member.child.remote()) == (id, True, {"CPU": 1.0})
    assert get(member.current.remote()) == group


def test_children_do_not_join_otherwise() -> None:
    group = pg.placement_group([{"CPU": 1}])
    member = Member.options(scheduling_strategy=Inside(group, 0)).remote()
    assert get(member.where.remote()) == (group.id.hex(), False)
    assert get(member.child.remote())[0] is None
    pg.remove_placement_group(group)
    settled("CPU", 2)


def test_a_child_can_be_sent_elsewhere() -> None:
    group = pg.placement_group([{"CPU": 1}])
    member = Member.options(scheduling_strategy=Inside(group, 0, True)).remote()
    assert get(member.child_elsewhere.remote())[:2] == (None, False)
    pg.remove_placement_group(group)
    settled("CPU", 2)


def test_groups_wait_for_what_others_hold() -> None:
    first = pg.placement_group([{"CPU": 2}])
    second = pg.placement_group([{"CPU": 1}])
    assert first.wait(PATIENCE)
    assert not second.wait(0.2)
    assert pg.placement_group_table(second)["state"] == "PENDING"
    pg.remove_placement_group(first)
    assert second.wait(PATIENCE)
    pg.remove_placement_group(second)
    settled("CPU", 2)


def test_a_name_finds_the_group_until_it_is_removed() -> None:
    group = pg.placement_group([{"CPU": 1}], name="bench")
    assert group.wait(PATIENCE)
    found = pg.get_placement_group("bench")
    assert found == group
    assert found.bundle_specs == [{"CPU": 1}]
    with pytest.raises(ray.exceptions.RaySystemError, match="already exists"):
        pg.placement_group([{"CPU": 1}], name="bench")
    pg.remove_placement_group(group)
    with pytest.raises(ValueError, match="Failed to look up placement group with name: bench"):
        pg.get_placement_group("bench")
    settled("CPU", 2)


def test_removal_ends_what_runs_inside() -> None:
    gate = Gate.remote()
    group = pg.placement_group([{"CPU": 1}, {"CPU": 1}])
    task = hold.options(scheduling_strategy=Inside(group, 0)).remote(gate)
    member = Member.options(num_cpus=1, scheduling_strategy=Inside(group, 1)).remote()
    get(gate.arrived.remote(1))
    assert get(member.where.remote())[0] == group.id.hex()
    pg.remove_placement_group(group)
    with pytest.raises(ray.exceptions.WorkerCrashedError):
        get(task)
    with pytest.raises(ray.exceptions.ActorDiedError, match="placement group was removed"):
        get(member.where.remote())
    assert pg.placement_group_table(group)["state"] == "REMOVED"
    settled("CPU", 2)
    pg.remove_placement_group(group)  # again: nothing happens


def test_a_task_that_waits_in_a_removed_group_fails() -> None:
    gate = Gate.remote()
    group = pg.placement_group([{"CPU": 1, "memory": 1000}])
    inside = hold.options(num_cpus=0, memory=1000, scheduling_strategy=Inside(group))
    inside.remote(gate)
    get(gate.arrived.remote(1))
    waiting = inside.remote(gate)
    pg.remove_placement_group(group)
    with pytest.raises(ray.exceptions.TaskPlacementGroupRemoved):
        get(waiting)
    settled("CPU", 2)


@differs_from_ray("what is sent to a removed group fails; Ray lets it wait for ever")
def test_what_comes_after_removal_fails() -> None:
    group = pg.placement_group([{"CPU": 1}])
    assert group.wait(PATIENCE)
    pg.remove_placement_group(group)
    with pytest.raises(ray.exceptions.TaskPlacementGroupRemoved):
        ray.get(where.options(scheduling_strategy=Inside(group)).remote(), timeout=5)
    member = Member.options(scheduling_strategy=Inside(group)).remote()
    with pytest.raises(ray.exceptions.ActorPlacementGroupRemoved):
        ray.get(member.where.remote(), timeout=5)


def test_ready_of_a_removed_group_fails() -> None:
    group = pg.placement_group([{"CPU": 1000}])
    ready = group.ready()
    pg.remove_placement_group(group)
    with pytest.raises(ray.exceptions.TaskPlacementGroupRemoved):
        get(ready)
    with pytest.raises(Exception, match="does not exist"):
        group.wait(PATIENCE)


@pytest.mark.parametrize(
    ("bundles", "strategy"), [([{"CPU": 1000}], "PACK"), ([{"CPU": 1}] * 2, "STRICT_SPREAD")]
)
def test_a_group_that_cannot_be_waits(bundles: list[dict[str, float]], strategy: str) -> None:
    group = pg.placement_group(bundles, strategy=strategy)
    assert not group.wait(0.3)
    assert pg.placement_group_table(group)["stats"]["scheduling_state"] == "INFEASIBLE"
    pg.remove_placement_group(group)


def test_gpus_of_a_bundle_are_its_own(start: Callable[..., Any]) -> None:
    start(num_cpus=2, num_gpus=2)

    @ray.remote(num_cpus=0, num_gpus=1)
    def gpus() -> list[int]:
        return [int(gpu) for gpu in ray.get_gpu_ids()]

    group = pg.placement_group([{"GPU": 1}, {"GPU": 1}])
    assert group.wait(PATIENCE)
    refs = [gpus.options(scheduling_strategy=Inside(group, index)).remote() for index in (0, 1)]
    assert sorted(get(refs)) == [[0], [1]]
    settled("GPU", 0)
    pg.remove_placement_group(group)
    settled("GPU", 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bundles": []}, "non-empty list"),
        ({"bundles": {"CPU": 1}}, "must be a list"),
        ({"bundles": [1]}, "non-empty list of resource dictionaries"),
        ({"bundles": [{}]}, "only 0 values"),
        ({"bundles": [{"CPU": 0}]}, "only 0 values"),
        ({"bundles": [{"CPU": "1"}]}, "non-empty list of resource dictionaries"),
        ({"bundles": [{"CPU": 1}], "strategy": "TIGHT"}, "Invalid placement group strategy TIGHT"),
        ({"bundles": [{"CPU": 1}], "lifetime": "long"}, "either `None` or 'detached'"),
        ({"bundles": [{"CPU": 1}], "_soft_target_node_id": "ab"}, "STRICT_PACK"),
        ({"bundles": [{"CPU": 1}], "bundle_label_selector": [{}, {}]}, "should equal the length"),
        ({"bundles": [{"CPU": 1}], "bundle_label_selector": [{"a": "%"}]}, "Invalid label selector"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pg.placement_group(**arguments)


@pytest.mark.parametrize("index", [2, -2])
def test_a_bundle_that_is_not(group: Any, index: int) -> None:
    with pytest.raises(ValueError, match=f"bundle index {index} is invalid"):
        where.options(scheduling_strategy=Inside(group, index)).remote()


def test_a_bundle_without_a_group() -> None:
    with pytest.raises(ValueError, match="the value of bundle index must be -1"):
        where.options(scheduling_strategy=Inside(None, 0)).remote()


def test_more_than_any_bundle_holds(group: Any) -> None:
    with pytest.raises(ValueError, match="cannot fit into any bundles"):
        where.options(num_cpus=2, scheduling_strategy=Inside(group)).remote()
    with pytest.raises(ValueError, match="cannot fit into any bundles"):
        Member.options(resources={"licence": 1}, scheduling_strategy=Inside(group)).remote()


@pytest.mark.parametrize("name", ["", None])
def test_looking_up_no_name(name: Any) -> None:
    with pytest.raises(ValueError, match="non-empty"):
        pg.get_placement_group(name)


def test_a_bundle_shows_what_was_asked_for_zeros_included() -> None:
    group = pg.placement_group([{"CPU": 1, "GPU": 0}])
    assert group.bundle_specs == [{"CPU": 1, "GPU": 0}]
    assert group.wait(PATIENCE)
    pg.remove_placement_group(group)


def test_waiting_without_patience_finds_what_is_there() -> None:
    group = pg.placement_group([{"CPU": 1}])
    assert group.wait(PATIENCE)
    assert group.wait(0)
    pg.remove_placement_group(group)
