"""Graphs of calls: bind and execute."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from tests.conformance.api import ray, submodule

dag = submodule("dag")


@ray.remote
def add(x: Any, y: Any = 1) -> Any:
    return x + y


@ray.remote
def kinds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: type(item).__name__ for key, item in value.items()}
    return [type(item).__name__ for item in value]


@ray.remote(num_cpus=0)
class Counter:
    def __init__(self, value: int = 0) -> None:
        self.value = value

    def add(self, amount: int = 1) -> int:
        self.value += amount
        return self.value

    def read(self) -> int:
        return self.value

    @ray.method(num_returns=2)
    def pair(self, value: int) -> tuple[int, int]:
        return value, value + 1


def run(node: Any, *args: Any, **kwargs: Any) -> Any:
    return ray.get(node.execute(*args, **kwargs), timeout=20)


def test_a_bound_call_is_made_by_execute() -> None:
    node = add.bind(1, y=4)
    assert isinstance(node, dag.FunctionNode)
    assert (node.get_args(), node.get_kwargs()) == ((1,), {"y": 4})
    assert run(node) == 5
    assert run(node) == 5


def test_results_flow_between_nodes_and_each_is_made_once() -> None:
    counter = Counter.remote(0)
    shared = counter.add.bind(10)
    assert run(add.bind(shared, shared)) == 20
    assert run(add.bind(shared, shared)) == 40


def test_options_go_with_the_node() -> None:
    assert add.options(num_cpus=1, name="sum").bind(1).get_options() == {"num_cpus": 1, "name": "sum"}
    assert Counter.options(name="bound").bind().get_options()["name"] == "bound"
    assert run(add.options(num_cpus=1).bind(1)) == 2


def test_one_input_is_the_argument_itself() -> None:
    with dag.InputNode() as given:
        node = add.bind(given, 10)
    assert run(node, 1) == 11
    assert run(node, ray.put(4)) == 14


def test_parts_of_several_inputs() -> None:
    with dag.InputNode() as given:
        node = add.bind(given[0], given.more)
    assert run(node, 1, more=2) == 3
    with dag.InputNode() as given:
        node = add.bind(given["a"], given["b"])
    assert run(node, a=1, b=2) == 3
    assert run(node, {"a": 3, "b": 4}) == 7
    with dag.InputNode() as given:
        node = add.bind(given[0], given[1])
    assert run(node, [5, 6]) == 11


@dataclass
class Point:
    x: int
    y: int


def test_attributes_of_one_input() -> None:
    with dag.InputNode() as given:
        node = add.bind(given.x, given.y)
    assert run(node, Point(1, 2)) == 3


def test_an_input_that_is_missing_raises() -> None:
    with dag.InputNode() as given:
        node = add.bind(given[0], given.y)
    with pytest.raises(KeyError):
        node.execute(1, z=2)
    with pytest.raises(IndexError):
        node.execute(y=2)


def test_input_nodes_take_no_arguments_and_need_their_context() -> None:
    with pytest.raises(ValueError, match="should not take any args"):
        dag.InputNode(1)
    with pytest.raises(AssertionError, match="context manager"):
        add.bind(dag.InputNode()).execute(1)
    with pytest.raises(ValueError, match=r"only.*int"), dag.InputNode() as given:
        given[1.5]


def test_an_actor_node_makes_a_new_actor_for_each_execution() -> None:
    counter = Counter.bind(10)
    first = counter.add.bind(1)
    second = counter.add.bind(2)
    last = counter.read.bind()
    assert [run(last), run(last)] == [13, 13]
    assert [run(first), run(second)] == [11, 13]
    assert isinstance(counter.execute(), ray.actor.ActorHandle)


def test_arguments_of_an_actor_node_may_be_nodes() -> None:
    with dag.InputNode() as given:
        node = Counter.bind(add.bind(given, 1)).add.bind(given)
    assert run(node, 5) == 11


def test_a_live_actor_keeps_its_state() -> None:
    counter = Counter.remote(5)
    node = counter.add.bind(1)
    assert isinstance(node, dag.ClassMethodNode)
    assert node.get_method_name() == "add"
    assert [run(node) for _ in range(3)] == [6, 7, 8]


def test_several_outputs() -> None:
    counter = Counter.remote()
    with dag.InputNode() as given:
        node = dag.MultiOutputNode([add.bind(given, 1), counter.add.bind(given)])
    refs = node.execute(1)
    assert isinstance(refs, list)
    assert ray.get(refs) == [2, 1]
    with pytest.raises(ValueError, match="Invalid input type"):
        dag.MultiOutputNode(add.bind(1))


def test_a_method_with_several_results_is_several_nodes() -> None:
    counter = Counter.remote()
    first, second = counter.pair.bind(3)
    assert (first.is_class_method_output, second.output_idx) == (True, 1)
    assert first.class_method_call.num_returns == 2
    assert run(add.bind(first, second)) == 7


def test_nodes_inside_containers_become_refs() -> None:
    assert run(kinds.bind([add.bind(1), 2])) == ["ObjectRef", "int"]
    assert run(kinds.bind({"a": add.bind(1), "b": 2})) == {"a": "ObjectRef", "b": "int"}


def test_nodes_inside_other_objects_are_found() -> None:
    @ray.remote
    def total(point: Point) -> int:
        return sum(ray.get([point.x, point.y]))

    assert run(total.bind(Point(add.bind(1), add.bind(2)))) == 5


def test_a_ref_is_an_argument_like_any_other() -> None:
    assert run(add.bind(ray.put(3))) == 4


def test_errors_of_a_node_reach_the_caller() -> None:
    with pytest.raises(TypeError):
        run(add.bind(add.bind(1, "a"), 1))


def test_a_node_is_neither_called_nor_bound_again() -> None:
    node = add.bind(1)
    with pytest.raises(AttributeError, match=r"use .execute\(\)"):
        node.remote()
    with pytest.raises(AttributeError):
        node.bind(1)
    with pytest.raises(AttributeError, match=r"Use .bind\(\)"):
        Counter.bind().add.remote()
    with pytest.raises(AttributeError, match="nothing"):
        Counter.bind().nothing  # noqa: B018
    with pytest.raises(TypeError):
        node()


def test_a_deep_graph_needs_no_deep_stack() -> None:
    counter = Counter.remote()
    node = counter.add.bind(0)
    for _ in range(1500):
        node = counter.add.bind(node)
    depth = 0

    def count(_node: Any) -> None:
        nonlocal depth
        depth += 1

    node.traverse_and_apply(count)
    assert depth == 1501


def test_apply_recursive_sees_results_in_place_of_nodes() -> None:
    with dag.InputNode() as given:
        node = add.bind(add.bind(given, 2), 3)

    def evaluate(each: Any) -> Any:
        return 1 if isinstance(each, dag.InputNode) else sum(each.get_args())

    assert node.apply_recursive(evaluate) == 6


def test_refs_of_the_last_execution() -> None:
    node = add.bind(add.bind(1), 1)
    node.execute(_ray_cache_refs=True)
    refs = asyncio.run(node.get_object_refs_from_last_execute())
    assert sorted(ray.get(list(refs.values()))) == [2, 3]
    node.clear_cache()
    assert asyncio.run(node.get_object_refs_from_last_execute()) == {}


def test_a_graph_travels() -> None:
    @ray.remote
    def inner(node: Any) -> Any:
        return ray.get(node[0].execute(2))

    with dag.InputNode() as given:
        node = add.bind(given, 10)
    assert ray.get(inner.remote([node]), timeout=20) == 12
    assert cloudpickle.loads(cloudpickle.dumps(node)).get_stable_uuid() == node.get_stable_uuid()


def test_text_and_picture(tmp_path: Path) -> None:
    with dag.InputNode() as given:
        node = add.bind(given, 10)
    text = str(node)
    assert text.startswith("(FunctionNode, ")
    assert "(InputNode, " in text
    path = tmp_path / "graph.dot"
    dag.plot(node, str(path))
    assert "n0 -> n1" in path.read_text()


def test_a_graph_has_one_input() -> None:
    with dag.InputNode() as one, dag.InputNode() as two:
        graph = add.bind(one, two)
    with pytest.raises(AssertionError, match="one unique InputNode"):
        graph.execute(1)
