"""Several results of one graph."""

from __future__ import annotations

from typing import Any

from skate.dag.dag_node import DAGNode


class MultiOutputNode(DAGNode):
    """Ends a graph with several results: `execute` returns a list of refs.

    Args:
        args: The nodes, as a list or tuple.
        other_args_to_resolve: As in `DAGNode`.

    Raises:
        ValueError: `args` is neither.

    Example:
        >>> import skate
        >>> from skate.dag import MultiOutputNode
        >>> @skate.remote
        ... def double(x):
        ...     return 2 * x
        >>> skate.get(MultiOutputNode([double.bind(1), double.bind(2)]).execute())
        [2, 4]
    """

    def __init__(
        self, args: list[DAGNode] | tuple[DAGNode, ...], other_args_to_resolve: dict[str, Any] | None = None
    ) -> None:
        if not isinstance(args, list | tuple):
            raise ValueError(f"Invalid input type for `args`, {type(args)}. Give a list or a tuple of nodes.")
        super().__init__(tuple(args), {}, {}, other_args_to_resolve)

    def _execute_impl(self, *_args: Any, **_kwargs: Any) -> Any:
        return list(self._bound_args)


__all__ = ["MultiOutputNode"]
