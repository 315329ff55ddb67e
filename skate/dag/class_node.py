"""Actors and their method calls in a graph."""

from __future__ import annotations

from typing import Any

import skate
from skate.dag import constants as keys
from skate.dag.dag_node import DAGNode


class ClassNode(DAGNode):
    """An actor that each execution of the graph creates: what `ActorClass.bind(...)` returns.

    Its methods' calls are bound as on a handle: `node.method.bind(...)`. Calls of one node are made in the order in which they
    were bound.

    Args:
        cls: The actor class, or the plain one.
        cls_args: Positional arguments of the constructor.
        cls_kwargs: Keyword arguments.
        cls_options: Options of the actor.
        other_args_to_resolve: As in `DAGNode`.
    """

    def __init__(
        self,
        cls: Any,
        cls_args: tuple[Any, ...],
        cls_kwargs: dict[str, Any],
        cls_options: dict[str, Any],
        other_args_to_resolve: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(cls_args, cls_kwargs, cls_options, other_args_to_resolve)
        if isinstance(cls, skate.actor.ActorClass):
            self._actor_class: Any = cls
        else:
            made = skate.remote(cls)
            self._actor_class = made.options(**cls_options) if cls_options else made
        self._body = self._actor_class.__wrapped__
        self._last_call: ClassMethodNode | None = None

    def _execute_impl(self, *_args: Any, **_kwargs: Any) -> Any:
        return self._actor_class.remote(*self._bound_args, **self._bound_kwargs)

    def __getattr__(self, method_name: str) -> Any:
        if method_name in ("remote", "bind"):
            return super().__getattr__(method_name)
        if method_name.startswith("__") or "_body" not in self.__dict__:
            raise AttributeError(f"'ClassNode' object has no attribute {method_name!r}")
        getattr(self._body, method_name)  # raises, as the class itself does, for a method that it lacks
        return _UnboundClassMethodNode(self, method_name, {})

    def body_line(self) -> str:
        """What `str()` shows as the body."""
        return repr(self._body)


class _UnboundClassMethodNode:
    """A method of a `ClassNode` whose arguments are not given yet."""

    def __init__(self, actor: ClassNode, method_name: str, options: dict[str, Any]) -> None:
        self._actor = actor
        self._method_name = method_name
        self._options = options

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """A node for the method's call with these arguments."""
        parent = self._actor.__dict__
        other = {
            keys.PARENT_CLASS_NODE_KEY: self._actor,
            keys.PREV_CLASS_METHOD_CALL_KEY: parent["_last_call"],
        }
        made = ClassMethodNode(self._method_name, args, kwargs, self._options, other)
        parent["_last_call"] = made
        return made

    def options(self, **options: Any) -> _UnboundClassMethodNode:
        """The same method with options for its call."""
        return _UnboundClassMethodNode(self._actor, self._method_name, {**self._options, **options})

    def __getattr__(self, attr: str) -> Any:
        if attr == "remote":
            raise AttributeError(
                ".remote() cannot be used on ClassMethodNodes. Use .bind() instead to express an arbitrary node in the graph."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {attr!r}")


class ClassMethodNode(DAGNode):
    """A call of an actor's method: what `actor.method.bind(...)` returns.

    Of a method with `num_returns` above 1, `bind` returns a tuple of nodes instead, one for each result.

    Args:
        method_name: The method.
        method_args: Positional arguments; for a node that is one of several results, the call's node and the result's index.
        method_kwargs: Keyword arguments.
        method_options: Options of the call.
        other_args_to_resolve: Holds the actor: a handle or a `ClassNode`.
    """

    def __init__(
        self,
        method_name: str,
        method_args: tuple[Any, ...],
        method_kwargs: dict[str, Any],
        method_options: dict[str, Any],
        other_args_to_resolve: dict[str, Any],
    ) -> None:
        super().__init__(method_args, method_kwargs, method_options, other_args_to_resolve)
        self._method_name = method_name
        self._parent_class_node = other_args_to_resolve[keys.PARENT_CLASS_NODE_KEY]
        self.live_method: Any = None  # of a live actor, with its options
        self._is_class_method_output = bool(other_args_to_resolve.get(keys.IS_CLASS_METHOD_OUTPUT_KEY))

    def _execute_impl(self, *_args: Any, **_kwargs: Any) -> Any:
        if self._is_class_method_output:
            results, index = self._bound_args
            return results[index]
        method = self.live_method
        if method is None:
            method = getattr(self._bound_other_args_to_resolve[keys.PARENT_CLASS_NODE_KEY], self._method_name)
            if self._bound_options:
                method = method.options(**self._bound_options)
        return method.remote(*self._bound_args, **self._bound_kwargs)

    def get_method_name(self) -> str:
        """The method's name."""
        return self._method_name

    @property
    def num_returns(self) -> int:
        """How many results the call has; a node that is one of several results has one."""
        return 1 if self._is_class_method_output else int(self._bound_options.get("num_returns") or 1)

    @property
    def is_class_method_call(self) -> bool:
        """Whether it stands for the call."""
        return not self._is_class_method_output

    @property
    def is_class_method_output(self) -> bool:
        """Whether it stands for one of a call's several results."""
        return self._is_class_method_output

    @property
    def class_method_call(self) -> ClassMethodNode | None:
        """The call's node, of a node that is one of its results."""
        return self._bound_args[0] if self._is_class_method_output else None

    @property
    def output_idx(self) -> int | None:
        """Which of the results it is."""
        return self._bound_args[1] if self._is_class_method_output else None

    def body_line(self) -> str:
        """What `str()` shows as the body."""
        return f"{self._method_name}()"


__all__ = ["ClassMethodNode", "ClassNode"]
