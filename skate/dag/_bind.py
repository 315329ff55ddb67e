"""What `.bind(...)` makes of a remote function, an actor class and a live actor's method."""

from __future__ import annotations

import itertools
from typing import Any

from skate.dag import constants as keys
from skate.dag.class_node import ClassMethodNode, ClassNode
from skate.dag.function_node import FunctionNode

_bind_indices = itertools.count()


def next_bind_index() -> int:
    """The place of a new call among those of all actors."""
    return next(_bind_indices)


def bind_function(
    function: Any, options: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """The node for a call of a remote function."""
    return FunctionNode(function, args, kwargs, options)


def bind_class(cls: Any, options: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The node for an actor to be created."""
    return ClassNode(cls, args, kwargs, options)


def bind_method(
    handle: Any, method: Any, num_returns: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """The node, or the tuple of nodes, for a call of a live actor's method."""
    name = method.__name__
    other = {
        keys.PARENT_CLASS_NODE_KEY: handle,
        keys.PREV_CLASS_METHOD_CALL_KEY: None,
        keys.BIND_INDEX_KEY: next_bind_index(),
    }
    call = ClassMethodNode(name, args, kwargs, {"num_returns": num_returns}, other)
    call.live_method = method
    if not isinstance(num_returns, int) or num_returns == 1:
        return call
    output = {keys.PARENT_CLASS_NODE_KEY: handle, keys.IS_CLASS_METHOD_OUTPUT_KEY: True}
    return tuple(
        ClassMethodNode(f"return_idx_{index}", (call, index), {}, {}, output) for index in range(num_returns)
    )
