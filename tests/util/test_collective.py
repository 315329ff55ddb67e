"""Collective operations among actors."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.api import ray, submodule

np = pytest.importorskip("numpy")
col = submodule("util.collective")
ReduceOp = submodule("util.collective.types").ReduceOp


@ray.remote(num_cpus=0)
class Member:
    def join(self, size: int, rank: int, name: str = "default", timeout: int = 30000) -> Any:
        col.init_collective_group(size, rank, backend="gloo", group_name=name, gloo_timeout=timeout)
        return (
            col.get_rank(name),
            col.get_collective_group_size(name),
            type(col.get_group_handle(name)).__name__,
        )

    def call(self, operation: str, *args: Any, kind: str = "numpy", **more: Any) -> Any:
        """Run an operation on tensors made of lists, and return the first argument as lists again."""
        made = [self._tensor(arg, kind) if isinstance(arg, list) else arg for arg in args]
        getattr(col, operation)(*made, **more)
        return self._plain(made[0]) if made else None

    def _tensor(self, value: Any, kind: str) -> Any:
        if value and isinstance(value[0], list):
            return [self._tensor(item, kind) for item in value]
        if kind == "torch":
            import torch

            return torch.tensor(value, dtype=torch.float64)
        return np.array(value, dtype=float)

    def _plain(self, value: Any) -> Any:
        return [item.tolist() for item in value] if isinstance(value, list) else value.tolist()

    def leave(self, name: str = "default") -> Any:
        col.destroy_collective_group(name)
        return col.is_group_initialized(name), col.get_rank(name), col.get_collective_group_size(name)


@pytest.fixture(scope="module")
def group(session: str) -> list[Any]:
    members = [Member.remote() for _ in range(3)]
    joined = ray.get([member.join.remote(3, rank) for rank, member in enumerate(members)], timeout=60)
    assert [rank for rank, _, _ in joined] == [0, 1, 2]
    return members


def all_call(members: list[Any], operation: str, each: Any, **more: Any) -> Any:
    calls = [member.call.remote(operation, *each(rank), **more) for rank, member in enumerate(members)]
    return ray.get(calls, timeout=60)


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_operations(group: list[Any], kind: str) -> None:
    if kind == "torch":
        pytest.importorskip("torch")

    def ranks(rank: int) -> Any:
        return ([rank + 1.0, 2.0],)

    assert all_call(group, "allreduce", ranks, kind=kind) == [[6, 6]] * 3
    assert all_call(group, "allreduce", ranks, kind=kind, op=ReduceOp.PRODUCT) == [[6, 8]] * 3
    assert all_call(group, "allreduce", ranks, kind=kind, op=ReduceOp.MIN) == [[1, 2]] * 3
    assert all_call(group, "allreduce", ranks, kind=kind, op=ReduceOp.MAX) == [[3, 2]] * 3
    assert all_call(group, "reduce", ranks, kind=kind, dst_rank=1) == [[1, 2], [6, 6], [3, 2]]
    assert all_call(group, "broadcast", ranks, kind=kind, src_rank=2) == [[3, 2]] * 3
    gathered = all_call(group, "allgather", lambda rank: ([[0.0], [0.0], [0.0]], [float(rank)]), kind=kind)
    assert gathered == [[[0], [1], [2]]] * 3
    scattered = all_call(
        group, "reducescatter", lambda rank: ([0.0], [[1.0 * rank], [10.0 * rank], [100.0]]), kind=kind
    )
    assert scattered == [[3], [30], [300]]
    assert all_call(group, "barrier", lambda rank: ()) == [None] * 3


def test_send_and_receive(group: list[Any]) -> None:
    for value in (1.0, 2.0):
        sent = group[0].call.remote("send", [value, value], 2)
        got = group[2].call.remote("recv", [0.0, 0.0], 0)
        assert ray.get([sent, got], timeout=60)[1] == [value, value]


def test_a_group_declared_by_the_driver(session: str) -> None:
    members = [Member.remote() for _ in range(2)]
    col.create_collective_group(members, 2, [1, 0], backend="gloo", group_name="declared")
    with pytest.raises(RuntimeError, match="twice"):
        col.create_collective_group(members, 2, [1, 0], backend="gloo", group_name="declared")
    found = all_call(members, "broadcast", lambda rank: ([float(rank)],), src_rank=0, group_name="declared")
    assert found == [[1], [1]]
    col.destroy_collective_group("declared")


def test_leaving_and_coming_back(group: list[Any]) -> None:
    assert ray.get([member.leave.remote() for member in group]) == [(False, -1, -1)] * 3
    again = ray.get([member.join.remote(3, 2 - rank) for rank, member in enumerate(group)], timeout=60)
    assert [rank for rank, _, _ in again] == [2, 1, 0]
    assert all_call(group, "allreduce", lambda rank: ([1.0],)) == [[3]] * 3
    ray.get([member.leave.remote() for member in group])
    ray.get([member.join.remote(3, rank) for rank, member in enumerate(group)], timeout=60)


def test_two_groups(group: list[Any]) -> None:
    ray.get([member.join.remote(2, rank, "pair") for rank, member in enumerate(group[:2])], timeout=60)
    assert all_call(group[:2], "allreduce", lambda rank: ([1.0],), group_name="pair") == [[2]] * 2
    assert all_call(group, "allreduce", lambda rank: ([1.0],)) == [[3]] * 3


def test_which_transport(group: list[Any], session: str) -> None:
    pytest.importorskip("torch")
    ray.get([member.leave.remote() for member in group])
    names = ray.get([member.join.remote(3, rank) for rank, member in enumerate(group)], timeout=60)
    assert {name for _, _, name in names} == {"SessionGroup" if session == "inline" else "TorchGLOOGroup"}


def test_members_that_do_not_come() -> None:
    with pytest.raises(TimeoutError, match="not all members came"):
        ray.get(Member.remote().join.remote(2, 0, "lonely", 200), timeout=60)


def test_what_is_wrong_is_said(group: list[Any]) -> None:
    for args, error, words in (
        (("send", [1.0], 0), RuntimeError, "is self"),
        (("send", [1.0], 7), ValueError, "rank '7' must be less than world size '3'"),
        (("recv", [1.0], -1), ValueError, "rank '-1' is negative"),
        (("allgather", [[1.0]], [1.0]), RuntimeError, "must be equal to world_size, 3"),
        (("allreduce", "text"), RuntimeError, "Unrecognized tensor type"),
        (("allreduce", [1.0], "default", "sum"), TypeError, "op='sum': a ReduceOp is needed"),
        (("allreduce", [1.0], "nothing"), RuntimeError, "not initialized in the process"),
        (("allreduce_multigpu", [1.0]), RuntimeError, "requires NCCL"),
    ):
        with pytest.raises(error, match=words):
            ray.get(group[0].call.remote(*args), timeout=60)
    with pytest.raises(RuntimeError, match="a second time"):
        ray.get(group[0].join.remote(3, 0), timeout=60)
    with pytest.raises(ValueError, match="rank=5"):
        ray.get(group[0].join.remote(3, 5, "other"), timeout=60)
    with pytest.raises(RuntimeError, match="inside a Ray actor or task"):
        col.allreduce(np.ones(1))
    with pytest.raises(RuntimeError, match="NCCL is not available"):
        col.create_collective_group(group, 3, [0, 1, 2])
    with pytest.raises(ValueError, match="Unrecognized backend"):
        col.create_collective_group(group, 3, [0, 1, 2], backend="pigeon")
    with pytest.raises(RuntimeError, match="one rank"):
        col.create_collective_group(group, 3, [0, 1], backend="gloo")
    with pytest.raises(RuntimeError, match="permutation"):
        col.create_collective_group(group, 3, [0, 1, 1], backend="gloo")
    assert col.is_backend_available("gloo")
    assert not col.is_backend_available("nccl")


def test_backends_of_ones_own() -> None:
    with pytest.raises(TypeError, match="BaseGroup"):
        col.register_collective_backend("mine", dict)
