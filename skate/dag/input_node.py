"""What stands in a graph for the arguments of `execute`."""

from __future__ import annotations

from typing import Any, Self

from skate.dag.dag_node import DAGNode

IN_CONTEXT_MANAGER = "__in_context_manager__"


class InputNode(DAGNode):
    """Stands for what `execute(...)` will be given; used as a context manager around the graph's making.

    With one positional argument the node is that argument. Otherwise take it apart: `node[0]` is the first positional argument,
    `node["name"]` or `node.name` the one of that name; of a single argument they are its items and attributes.

    Args:
        input_type: The type of the argument, or a dictionary of types by position and name; for those who generate forms.

    Raises:
        ValueError: arguments were given.

    Example:
        >>> import skate
        >>> from skate.dag import InputNode
        >>> @skate.remote
        ... def add(a, b):
        ...     return a + b
        >>> with InputNode() as given:
        ...     graph = add.bind(given[0], given.more)
        >>> skate.get(graph.execute(1, more=2))
        3
    """

    _is_input = True

    def __init__(
        self,
        *args: Any,
        input_type: Any = None,
        _other_args_to_resolve: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if args or kwargs:
            raise ValueError("InputNode should not take any args or kwargs: give them to execute().")
        super().__init__((), {}, {}, _other_args_to_resolve)
        self.input_attribute_nodes: dict[int | str, InputAttributeNode] = {}
        if isinstance(input_type, dict):
            for key, kind in input_type.items():
                self.input_attribute_nodes[key] = InputAttributeNode(self, key, "__getitem__", kind)
        elif input_type is not None:
            self._bound_other_args_to_resolve["result_type_string"] = _type_name(input_type)

    def _execute_impl(self, *args: Any, **kwargs: Any) -> Any:
        self.check_context()
        return resolve_input(args, kwargs)

    def check_context(self) -> None:
        """Make sure that it was used as a context manager.

        Raises:
            AssertionError: it was not.
        """
        if not self._bound_other_args_to_resolve.get(IN_CONTEXT_MANAGER):
            raise AssertionError(
                "InputNode is a singleton instance that should be only used in context manager for dag building and "
                "execution: `with InputNode() as given: graph = f.bind(given)`."
            )

    def __enter__(self) -> Self:
        self.set_context(IN_CONTEXT_MANAGER, True)
        return self

    def __exit__(self, *_exc: object) -> None:
        pass

    def set_context(self, key: str, val: Any) -> None:
        """Keep a value with the node, under a name."""
        self._bound_other_args_to_resolve[key] = val

    def __getattr__(self, key: str) -> Any:
        if key.startswith("_"):
            raise AttributeError(f"'InputNode' object has no attribute {key!r}")
        return self._attribute(key, "__getattr__")

    def __getitem__(self, key: int | str) -> Any:
        if not isinstance(key, int | str):
            raise ValueError(
                f"InputNode[{key!r}]: only an int (a position) or a str (a name) can be the index, got {type(key)}."
            )
        return self._attribute(key, "__getitem__")

    def _attribute(self, key: int | str, accessor: str) -> InputAttributeNode:
        known = self.input_attribute_nodes.get(key)
        if known is None:
            known = self.input_attribute_nodes[key] = InputAttributeNode(self, key, accessor)
        return known

    def get_result_type(self) -> str | None:
        """The name of the type given as `input_type`."""
        return self._bound_other_args_to_resolve.get("result_type_string")

    def __getstate__(self) -> dict[str, Any]:
        return {
            **super().__getstate__(),
            "input_attribute_nodes": {},
        }  # they hold this node: found again when asked for

    def body_line(self) -> str:
        """What `str()` shows as the body."""
        return "__InputNode__"


class InputAttributeNode(DAGNode):
    """A part of the input: `node[0]`, `node["name"]`, `node.name`.

    Args:
        dag_input_node: The `InputNode`.
        key: The index or name.
        accessor_method: "__getitem__" or "__getattr__".
        input_type: The type of the part.
    """

    def __init__(
        self, dag_input_node: InputNode, key: int | str, accessor_method: str, input_type: Any = None
    ) -> None:
        other = {"dag_input_node": dag_input_node, "key": key, "accessor_method": accessor_method}
        if input_type is not None:
            other["result_type_string"] = _type_name(input_type)
        super().__init__((), {}, {}, other)
        self._key = key
        self._accessor_method = accessor_method

    @property
    def key(self) -> int | str:
        """The index or name."""
        return self._key

    def _execute_impl(self, *_args: Any, **_kwargs: Any) -> Any:
        return take(self._bound_other_args_to_resolve["dag_input_node"], self._key, self._accessor_method)

    def get_result_type(self) -> str | None:
        """The name of the part's type, where `input_type` said it."""
        return self._bound_other_args_to_resolve.get("result_type_string")

    def body_line(self) -> str:
        """What `str()` shows as the body."""
        return f'["{self._key}"]'


class DAGInputData:
    """The arguments of an `execute` that was given other than one positional argument."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._args = list(args)
        self._kwargs = kwargs

    def __getitem__(self, key: int | str) -> Any:
        if isinstance(key, int):
            return self._args[key]
        if isinstance(key, str):
            return self._kwargs[key]
        raise ValueError(f"DAGInputData[{key!r}]: only an int or a str can be the index, got {type(key)}.")


def resolve_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What an `InputNode` becomes in an execution with these arguments."""
    return args[0] if len(args) == 1 and not kwargs else DAGInputData(*args, **kwargs)


def take(data: Any, key: int | str, accessor: str) -> Any:
    """The part of resolved input that an `InputAttributeNode` stands for."""
    if isinstance(data, DAGInputData) or accessor == "__getitem__":
        return data[key]
    return getattr(data, str(key))


def _type_name(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else str(kind)


__all__ = ["DAGInputData", "IN_CONTEXT_MANAGER", "InputAttributeNode", "InputNode", "resolve_input", "take"]
