"""Operations of several actors: nodes of a compiled graph with `bind`, operations of a group when called."""

from __future__ import annotations

from typing import Any

from skate.dag.collective_node import bind_collective
from skate.experimental.util.types import AllGatherOp, AllReduceOp, ReduceOp, ReduceScatterOp
from skate.util import collective
from skate.util.collective.types import ReduceOp as GroupReduceOp


class AllGatherWrapper:
    """`allgather`."""

    def bind(self, input_nodes: list[Any], transport: Any = None) -> list[Any]:
        """Nodes of a compiled graph: each actor gets the tensors of all, joined along the first dimension.

        Args:
            input_nodes: A node of each actor, which makes a tensor.
            transport: Accepted for Ray's programs; tensors travel through shared memory.
        """
        found: list[Any] = bind_collective(input_nodes, AllGatherOp(), transport)
        return found

    def __call__(self, tensor_list: list[Any], tensor: Any, group_name: str = "default") -> None:
        """As `skate.util.collective.allgather`."""
        collective.allgather(tensor_list, tensor, group_name)


class AllReduceWrapper:
    """`allreduce`."""

    def bind(self, input_nodes: list[Any], op: ReduceOp = ReduceOp.SUM, transport: Any = None) -> list[Any]:
        """Nodes of a compiled graph: each actor gets the combination of all tensors.

        Args:
            input_nodes: A node of each actor, which makes a tensor; or a list of such lists.
            op: How they are combined.
            transport: Accepted for Ray's programs; tensors travel through shared memory.

        Raises:
            ValueError: `op` is none that there is.
        """
        found: list[Any] = bind_collective(input_nodes, AllReduceOp(reduceOp=_checked(op)), transport)
        return found

    def __call__(
        self, tensor: Any, group_name: str = "default", op: GroupReduceOp = GroupReduceOp.SUM
    ) -> None:
        """As `skate.util.collective.allreduce`."""
        collective.allreduce(tensor, group_name, op)


class ReduceScatterWrapper:
    """`reducescatter`."""

    def bind(self, input_nodes: list[Any], op: ReduceOp = ReduceOp.SUM, transport: Any = None) -> list[Any]:
        """Nodes of a compiled graph: each actor gets its part, along the first dimension, of the combination of all tensors.

        Args:
            input_nodes: A node of each actor, which makes a tensor.
            op: How they are combined.
            transport: Accepted for Ray's programs; tensors travel through shared memory.

        Raises:
            ValueError: `op` is none that there is.
        """
        found: list[Any] = bind_collective(input_nodes, ReduceScatterOp(reduceOp=_checked(op)), transport)
        return found

    def __call__(
        self, tensor: Any, group_name: str = "default", op: GroupReduceOp = GroupReduceOp.SUM
    ) -> None:
        """Refused: one tensor does not say where the parts come from, and where the result goes.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            "reducescatter(tensor) can't tell its input from its result: call skate.util.collective.reducescatter(tensor, tensor_list, "
            "group_name, op)."
        )


def _checked(op: Any) -> ReduceOp:
    if not isinstance(op, ReduceOp):
        raise ValueError(f"Unexpected operation: {op}. It must be a skate.experimental.util.types.ReduceOp.")
    return op


allgather = AllGatherWrapper()
allreduce = AllReduceWrapper()
reducescatter = ReduceScatterWrapper()

__all__ = [
    "AllGatherWrapper",
    "AllReduceWrapper",
    "ReduceScatterWrapper",
    "allgather",
    "allreduce",
    "reducescatter",
]
