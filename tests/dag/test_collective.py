"""Collective operations in compiled graphs, and groups made by the driver."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import skate as ray
from skate.dag import CollectiveOutputNode, InputNode, MultiOutputNode
from skate.dag._collect import Collective
from skate.experimental import collective
from skate.experimental.util.types import AllGatherOp, AllReduceOp, ReduceOp, ReduceScatterOp
from skate.util import collective as groups


@ray.remote(num_cpus=0)
class Member:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def make(self, size: int) -> Any:
        return np.arange(size, dtype=float) + self.factor

    def torch(self, size: int) -> Any:
        import torch

        return torch.ones(size) * self.factor

    def fail(self, _size: int) -> Any:
        raise KeyError("no tensor")

    def word(self, _size: int) -> str:
        return "word"

    def total(self, value: Any) -> float:
        return float(value.sum())

    def group_sum(self, name: str) -> list[float]:
        values = np.full(2, self.factor, dtype=float)
        groups.allreduce(values, name)
        found: list[float] = values.tolist()
        return found


@pytest.fixture
def members() -> Any:
    return [Member.remote(factor) for factor in (1, 2)]


def _run(outputs: Any, size: int) -> Any:
    compiled = MultiOutputNode(outputs).experimental_compile()
    try:
        first = ray.get(compiled.execute(size))
        second = ray.get(compiled.execute(size))
    finally:
        compiled.teardown()
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    return first


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (ReduceOp.SUM, [3, 5]),
        (ReduceOp.PRODUCT, [2, 6]),
        (ReduceOp.MAX, [2, 3]),
        (ReduceOp.MIN, [1, 2]),
        (ReduceOp.AVG, [1.5, 2.5]),
    ],
)
def test_allreduce(members: Any, op: ReduceOp, expected: list[float]) -> None:
    with InputNode() as size:
        outputs = collective.allreduce.bind([member.make.bind(size) for member in members], op)
    assert all(isinstance(node, CollectiveOutputNode) for node in outputs)
    assert [found.tolist() for found in _run(outputs, 2)] == [expected, expected]


def test_what_comes_out_goes_on_to_methods(members: Any) -> None:
    with InputNode() as size:
        reduced = collective.allreduce.bind([member.make.bind(size) for member in members])
        totals = [member.total.bind(node) for member, node in zip(members, reduced, strict=True)]
    assert (
        _run(totals, 100_000) == [2 * sum(range(100_000)) + 300_000.0] * 2
    )  # large enough for shared memory


def test_without_compiling(members: Any) -> None:
    with InputNode() as size:
        outputs = collective.allreduce.bind([member.make.bind(size) for member in members])
    assert [found.tolist() for found in ray.get(MultiOutputNode(outputs).execute(2))] == [[3, 5]] * 2


def test_allgather_and_reducescatter(members: Any) -> None:
    with InputNode() as size:
        outputs = collective.allgather.bind([member.make.bind(size) for member in members])
    assert [found.tolist() for found in _run(outputs, 2)] == [[1, 2, 2, 3]] * 2
    with InputNode() as size:
        outputs = collective.reducescatter.bind([member.make.bind(size) for member in members])
    assert [found.tolist() for found in _run(outputs, 4)] == [[3, 5], [7, 9]]


def test_torch_tensors(members: Any, session: str) -> None:
    torch = pytest.importorskip("torch")
    if session == "dask":
        pytest.skip("what it does is the same as on the local engine, and each worker loads PyTorch for it")
    ray.get(
        [member.torch.remote(1) for member in members]
    )  # PyTorch is loaded: a graph's execution has a limit of ten seconds
    with InputNode() as size:
        outputs = collective.allreduce.bind([member.torch.bind(size) for member in members], ReduceOp.MAX)
    for found in _run(outputs, 3):
        assert isinstance(found, torch.Tensor)
        assert found.tolist() == [2, 2, 2]


def test_several_tensors_at_once(members: Any) -> None:
    with InputNode() as size:
        once = [member.make.bind(size) for member in members]
        twice = [member.make.bind(size) for member in members]
        first, second = collective.allreduce.bind([once, twice])
    assert [found.tolist() for found in _run([*first, *second], 2)] == [[3, 5]] * 4


@pytest.mark.parametrize(
    ("method", "error", "says"),
    [("fail", KeyError, "no tensor"), ("word", ValueError, "Expected a torch tensor")],
)
def test_an_error_reaches_every_reader(members: Any, method: str, error: type, says: str) -> None:
    with InputNode() as size:
        inputs = [members[0].make.bind(size), getattr(members[1], method).bind(size)]
        outputs = collective.allreduce.bind(inputs)
    compiled = MultiOutputNode(outputs).experimental_compile()
    for ref in compiled.execute(2):
        with pytest.raises(error, match=says):
            ray.get(ref)
    compiled.teardown()


def test_graphs_that_can_not_be(members: Any) -> None:
    with InputNode() as size:
        node = members[0].make.bind(size)
        with pytest.raises(ValueError, match="unique actor handles"):
            collective.allreduce.bind([node, members[0].make.bind(size)])
        with pytest.raises(ValueError, match="Expected a list of nodes"):
            collective.allreduce.bind([])
        with pytest.raises(ValueError, match="to be DAGNodes"):
            collective.allreduce.bind([1, 2])
        with pytest.raises(ValueError, match="Unexpected operation"):
            collective.allreduce.bind([node], "sum")  # type: ignore[arg-type]


def test_arithmetic() -> None:
    tensors = [np.array([1.0, 2.0, 3.0, 4.0]), np.array([10.0, 20.0, 30.0, 40.0])]
    assert Collective.of(AllReduceOp(ReduceOp.AVG), 0).perform(tensors).tolist() == [5.5, 11, 16.5, 22]
    assert Collective.of(ReduceScatterOp(), 1).perform(tensors).tolist() == [33, 44]
    assert Collective.of(AllGatherOp(), 0).perform(tensors).tolist() == [1, 2, 3, 4, 10, 20, 30, 40]
    with pytest.raises(ValueError, match="of one shape"):
        Collective.of(AllReduceOp(), 0).perform([np.zeros(2), np.zeros(3)])
    with pytest.raises(ValueError, match="divisible"):
        Collective.of(ReduceScatterOp(), 0).perform([np.zeros(3), np.zeros(3)])


def test_a_group_that_the_driver_makes(members: Any, session: str) -> None:
    if session == "dask":
        pytest.skip("what it does is the same as on the local engine, and each worker loads PyTorch for it")
    group = collective.create_collective_group(members, backend="gloo", name="pair")
    assert [group.get_rank(member) for member in members] == [0, 1]
    assert collective.get_collective_groups(members) == [group]
    assert ray.get([member.group_sum.remote("pair") for member in members]) == [[3.0, 3.0]] * 2
    with pytest.raises(RuntimeError, match="already in group"):
        collective.create_collective_group(members, backend="gloo")
    with pytest.raises(ValueError, match="must be unique"):
        collective.create_collective_group([members[0]] * 2, backend="gloo")
    collective.destroy_collective_group("pair")
    assert collective.get_collective_groups(members) == []
    with pytest.raises(ValueError, match="No group with name pair"):
        collective.destroy_collective_group("pair")
