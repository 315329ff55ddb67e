"""Remote functions: what `@remote` makes of a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from skate.core import options as _options
from skate.core import runtime
from skate.core.signature import CallShape, module_of

if TYPE_CHECKING:
    from skate.core.options import TaskOptions

P = ParamSpec("P")
R = TypeVar("R")


class FunctionSpec:
    """A function as engines see it. One per decorated function, shared by all its `.options(...)` variants."""

    __slots__ = ("__weakref__", "cost", "exported", "function", "is_generator", "module", "name", "shape")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.module = module_of(function)
        self.name: str = getattr(function, "__name__", None) or type(function).__name__
        self.shape = CallShape(function)
        self.is_generator = inspect.isgeneratorfunction(function)
        self.exported: Any = None
        """Belongs to the engine: the pickled function, once it has been."""
        self.cost: float = 1.0
        """Belongs to the engine: the function's usual run time in seconds, as far as known."""


class RemoteFunction(Generic[P, R]):
    """A function that runs as a task: `f.remote(...)` returns a ref at once.

    Example:
        >>> import skate
        >>> @skate.remote
        ... def add(a: int, b: int) -> int:
        ...     return a + b
        >>> skate.get(add.remote(1, 2))
        3
    """

    def __init__(self, function: Callable[P, R], options: TaskOptions, given: Mapping[str, Any]) -> None:
        if inspect.iscoroutinefunction(function):
            raise ValueError(
                f"'async def' should not be used for remote tasks, and {function.__qualname__}() is one: a task runs to its end in a "
                "process of its own. Make it a method of an actor class, or call asyncio.run() inside a plain function."
            )
        self._function = function
        self._spec = FunctionSpec(function)
        self._task_options = _settle(options, self._spec)
        self._default_options = dict(given)
        functools.update_wrapper(self, function)

    def remote(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Start a task, and return a ref to its result."""
        spec = self._spec
        shape = spec.shape
        if kwargs or not shape.needed <= len(args) <= shape.most:
            shape.check(args, kwargs)
        engine = runtime.engine
        if engine is None:
            engine = runtime.current()
        if runtime.tracer is not None:
            return runtime.tracer.submit_task(engine.submit_task, spec, self._task_options, args, kwargs)
        return engine.submit_task(spec, self._task_options, args, kwargs)

    def options(self, **given: Any) -> RemoteFunction[P, R]:
        """The same function with other options for the calls made through it.

        Raises:
            TypeError, ValueError: an option's name or value is wrong.
        """
        other: RemoteFunction[P, R] = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        merged = {**self._default_options, **given}
        other._task_options = _settle(_options.parse_task(given, self._task_options), self._spec)
        other._default_options = merged
        return other

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """Write the call down as a node of a graph, to be made by its `execute()`; see `skate.dag`."""
        return runtime.nodes().bind_function(self, self._default_options, args, kwargs)

    def _remote(self, args: Any = None, kwargs: Any = None, **given: Any) -> Any:
        """As `options(**given).remote(*args, **kwargs)`: the spelling of older libraries."""
        chosen = self.options(**given) if given else self
        return chosen.remote(*(args or ()), **(kwargs or {}))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refused, with a word on how to call it.

        Raises:
            TypeError: always.
        """
        name = self._spec.name
        raise TypeError(
            f"Remote functions cannot be called directly. Instead of running '{name}()', try '{name}.remote()', which returns "
            f"a ref; '{name}._function()' is the plain function."
        )

    def __getstate__(self) -> dict[str, Any]:
        return {"function": self._function, "options": self._task_options, "given": self._default_options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["function"], state["options"], state["given"])  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"RemoteFunction({self._spec.module}.{self._spec.name})"


def _settle(options: TaskOptions, spec: FunctionSpec) -> TaskOptions:
    """Decide what an unset num_returns means for this function: a generator streams."""
    if isinstance(options.num_returns, str):
        from skate.core.actor import refuse_streaming

        refuse_streaming(spec.name, options.num_returns, spec.is_generator)
    if options.num_returns is None:
        return options.replace(num_returns="streaming" if spec.is_generator else 1)
    return options
