"""A call of a remote function in a graph."""

from __future__ import annotations

from typing import Any

import skate
from skate.dag.dag_node import DAGNode


class FunctionNode(DAGNode):
    """A call of a remote function: what `function.bind(...)` returns.

    Args:
        func_body: The remote function, or the plain one.
        func_args: Positional arguments.
        func_kwargs: Keyword arguments.
        func_options: Options of the call.
        other_args_to_resolve: As in `DAGNode`.
    """

    def __init__(
        self,
        func_body: Any,
        func_args: tuple[Any, ...],
        func_kwargs: dict[str, Any],
        func_options: dict[str, Any],
        other_args_to_resolve: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(func_args, func_kwargs, func_options, other_args_to_resolve)
        if isinstance(func_body, skate.remote_function.RemoteFunction):
            self._remote_function: Any = func_body
        else:
            made = skate.remote(func_body)
            self._remote_function = made.options(**func_options) if func_options else made
        self._body = self._remote_function.__wrapped__

    def _execute_impl(self, *_args: Any, **_kwargs: Any) -> Any:
        return self._remote_function.remote(*self._bound_args, **self._bound_kwargs)

    def body_line(self) -> str:
        """What `str()` shows as the body."""
        return repr(self._body)

    def get_func_or_class_name(self) -> str:
        """The function's name."""
        return str(self._body.__name__)


__all__ = ["FunctionNode"]
