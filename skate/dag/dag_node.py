"""A node of a graph: a call that has been written down and not yet made."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from skate.dag import _scan
from skate.dag.base import DAGNodeBase
from skate.dag.format_utils import describe

if TYPE_CHECKING:
    from skate.dag.compiled_dag_node import CompiledDAG
    from skate.dag.tensor_transport import TensorTransport

_T = TypeVar("_T")


class DAGNode(DAGNodeBase):
    """A call to be made later, whose arguments may be other nodes. `execute()` makes all calls of the graph it ends.

    Nodes are not changed once they are made; `.bind(...)` of a remote function, an actor class or an actor's method makes one.

    Args:
        args: Positional arguments; nodes may stand anywhere inside them.
        kwargs: Keyword arguments, the same.
        options: Options of the call, as in `.options(...)`.
        other_args_to_resolve: Further values in which nodes stand, by name.

    Example:
        >>> import skate
        >>> @skate.remote
        ... def add(a, b):
        ...     return a + b
        >>> three = add.bind(1, 2)
        >>> skate.get(add.bind(three, three).execute())
        6
    """

    _is_input = False

    def __init__(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: dict[str, Any],
        other_args_to_resolve: dict[str, Any] | None = None,
    ) -> None:
        self._bound_args: tuple[Any, ...] = tuple(args or ())
        self._bound_kwargs: dict[str, Any] = dict(kwargs or {})
        self._bound_options: dict[str, Any] = dict(options or {})
        self._bound_other_args_to_resolve: dict[str, Any] = dict(other_args_to_resolve or {})
        self._stable_uuid = uuid.uuid4().hex
        self._type_hint: TensorTransport | None = None
        self.cache_from_last_execute: dict[str, Any] = {}
        self.is_compiled = False
        self.readers: list[DAGNode] = []
        """Nodes that have this one as an argument."""
        for arg in (*self._bound_args, *self._bound_kwargs.values()):
            if isinstance(arg, DAGNode):
                arg.readers.append(self)

    # -- what it holds ----------------------------------------

    def get_args(self) -> tuple[Any, ...]:
        """The positional arguments."""
        return self._bound_args

    def get_kwargs(self) -> dict[str, Any]:
        """The keyword arguments; a copy."""
        return dict(self._bound_kwargs)

    def get_options(self) -> dict[str, Any]:
        """The options of the call; a copy."""
        return dict(self._bound_options)

    def get_other_args_to_resolve(self) -> dict[str, Any]:
        """The further values in which nodes stand; a copy."""
        return dict(self._bound_other_args_to_resolve)

    def get_stable_uuid(self) -> str:
        """A name of this node, the same for copies of it with other arguments."""
        return self._stable_uuid

    @property
    def type_hint(self) -> TensorTransport | None:
        """How a compiled graph moves this node's tensors: what `with_tensor_transport` asked for, or None."""
        return self._type_hint

    def with_tensor_transport(
        self,
        transport: Any = "auto",
        device: str = "default",
        _static_shape: bool = False,
        _direct_return: bool = False,
    ) -> DAGNode:
        """Say how a compiled graph moves this node's tensors. Returns the node itself.

        Args:
            transport: "auto" or "shm" (shared memory); a graph that asks for "nccl" or "accelerator" can't be compiled.
            device: "default" leaves tensors on the device that they are on, "cpu" moves them to memory, "gpu" or "cuda" to
                the reader's GPU.

        Raises:
            ValueError: an unknown transport or device.
        """
        from skate.dag.tensor_transport import TensorTransport

        self._type_hint = TensorTransport.checked(transport, device)
        return self

    # -- traversal ----------------------------------------

    def _parts(self) -> tuple[Any, ...]:
        return (self._bound_args, self._bound_kwargs, self._bound_other_args_to_resolve)

    def get_children(self) -> list[DAGNode]:
        """The nodes among its arguments, each once."""
        return _scan.find(self._parts(), DAGNodeBase)

    def _with_parts(self, parts: tuple[Any, ...]) -> DAGNode:
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        args, kwargs, other = parts
        made.__dict__.update(_bound_args=args, _bound_kwargs=kwargs, _bound_other_args_to_resolve=other)
        return made

    def _order(self) -> list[DAGNode]:
        """All nodes that this one needs, and itself: each after those that it needs."""
        done: dict[str, DAGNode] = {}
        todo: list[tuple[DAGNode, bool]] = [(self, False)]
        while todo:
            node, expanded = todo.pop()
            if expanded:
                done[node._stable_uuid] = node
            elif node._stable_uuid not in done:
                todo.append((node, True))
                todo.extend((child, False) for child in reversed(node.get_children()))
        return list(done.values())

    def apply_recursive(self, fn: Callable[[DAGNode], _T]) -> _T:
        """Call `fn` on every node, a node's arguments first; `fn` sees a copy with the results in place of the nodes.

        Each node is visited once, however often it is used. Returns the result for this node.

        Raises:
            AssertionError: the graph has two `InputNode`s.
        """
        results: dict[str, Any] = {}
        given: DAGNode | None = None
        for node in self._order():
            if node._is_input:
                if given is not None:
                    raise AssertionError(
                        "Each DAG should only have one unique InputNode, and this one has two. Give execute() more arguments, and take "
                        "them apart: given[0], given[1], given.name."
                    )
                given = node
            parts = _scan.replace(node._parts(), DAGNodeBase, lambda child: results[child._stable_uuid])
            results[node._stable_uuid] = fn(node._with_parts(parts))
        answer: _T = results[self._stable_uuid]
        return answer

    def traverse_and_apply(self, fn: Callable[[DAGNode], Any]) -> None:
        """Call `fn` on every node as it stands, a node's arguments first, each once."""
        for node in self._order():
            fn(node)

    def apply_functional(
        self, source_input_list: Any, predicate_fn: Callable[[Any], bool], apply_fn: Callable[[Any], Any]
    ) -> Any:
        """`source_input_list` with `apply_fn(node)` in place of every node in it for which `predicate_fn` holds."""

        def change(node: Any) -> Any:
            return apply_fn(node) if predicate_fn(node) else node

        return _scan.replace(source_input_list, DAGNodeBase, change)

    # -- running ----------------------------------------

    def execute(self, *args: Any, _ray_cache_refs: bool = False, **kwargs: Any) -> Any:
        """Make all the calls of the graph that ends here, each once.

        Args:
            *args: What the graph's `InputNode` stands for.
            _ray_cache_refs: Keep the refs for `get_object_refs_from_last_execute()`.
            **kwargs: More of it.

        Returns:
            The ref of this node's result; a list of refs for a `MultiOutputNode`, a handle for an actor class.
        """
        cache: dict[str, Any] = {}

        def run(node: DAGNode) -> Any:
            cache[node._stable_uuid] = made = node._execute_impl(*args, **kwargs)
            return made

        made = self.apply_recursive(run)
        if _ray_cache_refs:
            self.cache_from_last_execute = cache
        return made

    async def get_object_refs_from_last_execute(self) -> dict[str, Any]:
        """The refs of the last `execute(_ray_cache_refs=True)`, by the nodes' stable uuids."""
        return dict(self.cache_from_last_execute)

    def clear_cache(self) -> None:
        """Forget those refs."""
        self.cache_from_last_execute = {}

    def _execute_impl(self, *args: Any, **kwargs: Any) -> Any:
        """Make this node's own call, its arguments being resolved."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it is executed.")

    def experimental_compile(
        self,
        _submit_timeout: float | None = None,
        _buffer_size_bytes: int | None = None,
        enable_asyncio: bool = False,
        _max_inflight_executions: int | None = None,
        _max_buffered_results: int | None = None,
        _overlap_gpu_communication: bool | None = None,
        _default_communicator: Any = "create",
    ) -> CompiledDAG:
        """Set the graph up for repeated execution: its actors pass values to one another directly.

        Args:
            _submit_timeout: Seconds that `execute` waits at most to hand its arguments over; default: 10.
            _buffer_size_bytes: Bytes that each writer's shared memory begins with; it grows when needed.
            enable_asyncio: Execute with `await dag.execute_async(...)` rather than `dag.execute(...)`.
            _max_inflight_executions: At most how many executions have begun and not ended; default: 10.
            _max_buffered_results: At most how many results nobody has taken are kept; default: 1000.
            _overlap_gpu_communication: Accepted for Ray's programs.
            _default_communicator: Accepted for Ray's programs.

        Raises:
            ValueError: the graph can't be compiled, or has been.
            NotImplementedError: it has nodes other than method calls.
        """
        from skate.dag.compiled_dag_node import compile_dag

        return compile_dag(
            self,
            submit_timeout=_submit_timeout,
            buffer_size_bytes=_buffer_size_bytes,
            enable_asyncio=enable_asyncio,
            max_inflight_executions=_max_inflight_executions,
            max_buffered_results=_max_buffered_results,
        )

    # -- the rest ----------------------------------------

    def __getattr__(self, attr: str) -> Any:
        name = type(self).__name__
        if attr == "remote":
            raise AttributeError(
                f".remote() cannot be used on {type(self)}. To execute the task graph for this node, use .execute()."
            )
        if attr == "bind":
            raise AttributeError(
                f".bind() cannot be used again on {type(self)}: it is a call already, with its arguments."
            )
        raise AttributeError(f"{name!r} object has no attribute {attr!r}")

    def __getstate__(self) -> dict[str, Any]:
        state: Mapping[str, Any] = self.__dict__
        return {**state, "cache_from_last_execute": {}, "readers": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __str__(self) -> str:
        return describe(self, self.body_line())

    def body_line(self) -> str:
        """What `str()` shows as the body."""
        return f"__{type(self).__name__}__"


__all__ = ["DAGNode"]
