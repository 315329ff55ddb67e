"""What several actors of a compiled graph do together: allreduce, allgather, reducescatter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import skate
from skate.dag import constants as keys
from skate.dag._bind import next_bind_index
from skate.dag.class_node import ClassMethodNode
from skate.dag.dag_node import DAGNode
from skate.dag.tensor_transport import TensorTransport

if TYPE_CHECKING:
    from skate.dag._collect import Collective


class CollectiveOperation:
    """One operation, of which each actor has an input node and an output node.

    Args:
        inputs: A node for each actor; for an operation on several tensors at once, a list of such lists.
        op: An `AllReduceOp`, `AllGatherOp` or `ReduceScatterOp`.
        transport: How the tensors travel; through shared memory always.

    Raises:
        ValueError: no inputs, not each from an actor of its own, or other actors in the lists.
    """

    def __init__(self, inputs: Sequence[Sequence[DAGNode]], op: Any, transport: Any = None) -> None:
        self.handles = _actors_of(inputs)
        self.op = op
        self.transport = transport
        self.inputs = [list(nodes) for nodes in inputs]

    @property
    def actor_handles(self) -> list[Any]:
        """The actors, in the order of their ranks."""
        return list(self.handles)

    def __str__(self) -> str:
        return f"CollectiveGroup(num_actors={len(self.handles)}, op={self.op})"


def _actors_of(inputs: Sequence[Sequence[DAGNode]]) -> list[Any]:
    found: list[Any] = []
    for nodes in inputs:
        if not nodes:
            raise ValueError("Expected input nodes for a collective operation: the list is empty.")
        if not all(isinstance(node, DAGNode) for node in nodes):
            raise ValueError(f"Expected all input nodes to be DAGNodes, but got {list(nodes)}.")
        handles = [
            node.get_other_args_to_resolve()[keys.PARENT_CLASS_NODE_KEY]
            for node in nodes
            if isinstance(node, ClassMethodNode)
        ]
        if len(handles) < len(nodes) or not all(isinstance(h, skate.actor.ActorHandle) for h in handles):
            raise ValueError(
                "Expected an actor handle from the input node: a collective operation takes method calls of actors that are "
                "already created."
            )
        if len(set(handles)) < len(handles):
            raise ValueError(
                f"Expected unique actor handles for a collective operation, but found duplicates among {handles}."
            )
        if found and found != handles:
            raise ValueError(
                "Expected all input lists to have the same set of actor handles, in the same order: "
                f"{found} and {handles} differ."
            )
        found = handles
    return found


class CollectiveOutputNode(ClassMethodNode):
    """What one actor gets from a collective operation.

    Args:
        method_name: The operation, in words.
        method_args: The input nodes of all actors, in the order of their ranks.
        method_kwargs: None.
        method_options: None.
        other_args_to_resolve: Holds the actor and the operation.
    """

    def __init__(
        self,
        method_name: str,
        method_args: tuple[Any, ...],
        method_kwargs: dict[str, Any],
        method_options: dict[str, Any],
        other_args_to_resolve: dict[str, Any],
    ) -> None:
        operation = other_args_to_resolve.pop(keys.COLLECTIVE_OPERATION_KEY, None)
        if operation is None:
            raise ValueError("Expected a collective operation")
        super().__init__(method_name, method_args, method_kwargs, method_options, other_args_to_resolve)
        self._operation: CollectiveOperation = operation

    @property
    def collective_op(self) -> CollectiveOperation:
        """The operation that it is a part of."""
        return self._operation

    @property
    def rank(self) -> int:
        """The rank of its actor."""
        return self._operation.handles.index(self._parent_class_node)

    @property
    def collective(self) -> Collective:
        """What its actor has to do."""
        from skate.dag._collect import Collective

        return Collective.of(self._operation.op, self.rank)

    def _execute_impl(self, *_args: Any, **_kwargs: Any) -> Any:
        return self._parent_class_node.__ray_call__.remote(_perform, self.collective, *self._bound_args)

    def body_line(self) -> str:
        """What `str()` shows as the body."""
        return str(self._operation)


def _perform(_actor: Any, collective: Collective, *tensors: Any) -> Any:
    return collective.perform(tensors)


def bind_collective(inputs: Any, op: Any, transport: Any = None) -> Any:
    """The output nodes of a collective operation, in the shape of `inputs`: a list, or a list of lists.

    Raises:
        ValueError: the inputs do not fit together, or `transport` is none that there is.
    """
    if not isinstance(inputs, list | tuple) or not inputs:
        raise ValueError(f"Expected a list of nodes, one of each actor, but got {inputs!r}.")
    if transport is not None and isinstance(transport, str):
        TensorTransport.checked(transport, "default")
    nested = isinstance(inputs[0], list | tuple)
    lists = list(inputs) if nested else [inputs]
    operation = CollectiveOperation(lists, op, transport)
    outputs = [[_output(operation, nodes, handle) for handle in operation.handles] for nodes in lists]
    return outputs if nested else outputs[0]


def _output(operation: CollectiveOperation, nodes: Sequence[DAGNode], handle: Any) -> CollectiveOutputNode:
    other = {
        keys.PARENT_CLASS_NODE_KEY: handle,
        keys.BIND_INDEX_KEY: next_bind_index(),
        keys.COLLECTIVE_OPERATION_KEY: operation,
    }
    return CollectiveOutputNode(type(operation.op).__name__, tuple(nodes), {}, {}, other)


__all__ = ["CollectiveOperation", "CollectiveOutputNode", "bind_collective"]
