"""The user's function or object: how it is made and called.

Coroutines run in the replica's loop. Plain functions run in threads, so that one that computes or waits holds up neither the other
requests nor the replica's own answers to the controller.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from skate.serve._private.constants import (
    AUTOSCALING_STATS_METHOD,
    HEALTH_CHECK_METHOD,
    RECONFIGURE_METHOD,
    ROUTING_STATS_METHOD,
)
from skate.serve._private.task_consumer import TaskConsumerWrapper
from skate.serve.exceptions import RayServeException

_MOST_THREADS = 1024
_END = object()


class Method:
    """One thing that can be called, and how."""

    __slots__ = ("function", "is_async", "is_generator")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        looked_at: Any = function
        if not inspect.isroutine(function) and not isinstance(function, functools.partial):
            looked_at = getattr(function, "__call__", function)  # noqa: B004 -- its kind, not whether it is callable
        self.is_generator = inspect.isgeneratorfunction(looked_at) or inspect.isasyncgenfunction(looked_at)
        self.is_async = inspect.iscoroutinefunction(looked_at) or inspect.isasyncgenfunction(looked_at)


class UserCode:
    """An instance of the deployment's class, or its function.

    Args:
        definition: The class or function.
        threads: How many plain calls run at once.
    """

    def __init__(self, definition: Any, threads: int) -> None:
        self.definition = definition
        self.instance: Any = None if inspect.isclass(definition) else definition
        self._methods: dict[str, Method] = {}
        self._pool = ThreadPoolExecutor(min(threads, _MOST_THREADS), thread_name_prefix="request")
        self._is_class = inspect.isclass(definition)

    @property
    def name(self) -> str:
        """What the class or function is called."""
        return str(getattr(self.definition, "__name__", self.definition))

    def set_threads(self, threads: int) -> None:
        """Let more plain calls run at once, or fewer."""
        self._pool._max_workers = min(threads, _MOST_THREADS)

    async def construct(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Make the instance, in the loop's thread, as constructors make loops' locks and tasks. `async def __init__` is awaited."""
        if not self._is_class:
            if args or kwargs:
                raise TypeError(
                    f"{self.name} is a function: .bind() takes arguments for a class's constructor. Functions get theirs with each call."
                )
            return
        cls = self.definition
        if inspect.iscoroutinefunction(cls.__init__):
            self.instance = cls.__new__(cls)
            await self.instance.__init__(*args, **kwargs)
        else:
            self.instance = cls(*args, **kwargs)
        if isinstance(self.instance, TaskConsumerWrapper):
            await asyncio.to_thread(self.instance.initialize_callable, self._pool._max_workers)

    def method(self, name: str) -> Method:
        """What a request calls.

        Raises:
            RayServeException: there is no such method.
        """
        found = self._methods.get(name)
        if found is None:
            function = self.instance if name == "__call__" else getattr(self.instance, name, None)
            if not callable(function) or (not self._is_class and name != "__call__"):
                known = (
                    [
                        key
                        for key, _ in inspect.getmembers(self.instance, callable)
                        if not key.startswith("__")
                    ]
                    if self._is_class
                    else ["__call__"]
                )
                raise RayServeException(
                    f"Tried to call a method '{name}' that does not exist. Available methods: {known}."
                )
            found = self._methods[name] = Method(function)
        return found

    async def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a method and return its value."""
        method = self.method(name)
        if method.is_generator:
            raise TypeError(
                f"Method '{name}' returned a generator. You must use `handle.options(stream=True)` to call generators on a deployment."
            )
        value = await self.run(method, args, kwargs)
        if inspect.isgenerator(value) or inspect.isasyncgen(value):
            raise TypeError(
                f"Method '{name}' returned a generator. You must use `handle.options(stream=True)` to call generators on a deployment."
            )
        return value

    async def run(self, method: Method, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call what is no generator function."""
        if method.is_async:
            return await method.function(*args, **kwargs)
        value = await self.in_thread(method.function, *args, **kwargs)
        if inspect.iscoroutine(value):
            value = await value
        return value

    async def in_thread(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a plain function in a thread, which sees this request's context."""
        context = contextvars.copy_context()
        work = functools.partial(context.run, function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def stream(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncIterator[Any]:
        """Call a generator method and yield its items."""
        method = self.method(name)
        if (method.is_async and method.is_generator) or method.is_generator:
            made = method.function(*args, **kwargs)
        else:
            made = await self.run(method, args, kwargs)
        async for item in self.items(name, made):
            yield item

    async def items(self, name: str, made: Any) -> AsyncIterator[Any]:
        """The items of a generator of either kind; a plain one is advanced in a thread."""
        if inspect.isasyncgen(made) or hasattr(made, "__anext__"):
            try:
                async for item in made:
                    yield item
            finally:
                close = getattr(made, "aclose", None)
                if close is not None:
                    await close()
        elif inspect.isgenerator(made) or hasattr(made, "__next__"):
            try:
                while (item := await self.in_thread(next, made, _END)) is not _END:
                    yield item
            finally:
                if hasattr(made, "close"):
                    await self.in_thread(made.close)
        else:
            raise TypeError(
                f"Called method '{name}' with `handle.options(stream=True)` but it did not return a generator: it returned a "
                f"{type(made).__name__}."
            )

    async def reconfigure(self, config: Any) -> None:
        """Hand the user's configuration over.

        Raises:
            RayServeException: there is one, and the class has no `reconfigure`.
        """
        if config is None:
            return
        if not self._is_class:
            raise ValueError("deployment_def must be a class to use user_config: it is a function.")
        function = getattr(self.instance, RECONFIGURE_METHOD, None)
        if function is None:
            raise RayServeException(
                f"user_config specified but deployment {self.name} missing {RECONFIGURE_METHOD} method"
            )
        await self.run(Method(function), (config,), {})

    async def check_health(self) -> None:
        """Ask the user's `check_health`, if there is one; what it raises says that the replica is ill."""
        function = getattr(self.instance, HEALTH_CHECK_METHOD, None) if self._is_class else None
        if function is not None:
            await self.run(Method(function), (), {})

    @property
    def records_stats(self) -> bool:
        """Whether there is something to tell routers."""
        return self._is_class and callable(getattr(self.instance, ROUTING_STATS_METHOD, None))

    @property
    def records_scaling(self) -> bool:
        """Whether there is something to tell autoscaling policies."""
        return self._is_class and callable(getattr(self.instance, AUTOSCALING_STATS_METHOD, None))

    async def routing_stats(self) -> dict[str, Any]:
        """What the user's class tells routers.

        Raises:
            TypeError: it is no dictionary.
        """
        return await self._stats(ROUTING_STATS_METHOD)

    async def autoscaling_stats(self) -> dict[str, float]:
        """What the user's class tells autoscaling policies.

        Raises:
            TypeError: it is no dictionary, or not one of numbers.
        """
        found = await self._stats(AUTOSCALING_STATS_METHOD)
        for name, value in found.items():
            if not isinstance(value, int | float):
                raise TypeError(
                    f"{AUTOSCALING_STATS_METHOD} of {self.name} returned {name!r} as a {type(value).__name__}: a number is needed."
                )
        return found

    async def _stats(self, method: str) -> dict[str, Any]:
        found = await self.run(Method(getattr(self.instance, method)), (), {})
        if not isinstance(found, dict):
            raise TypeError(f"{method} of {self.name} returned a {type(found).__name__}: a dict is needed.")
        return found

    async def destroy(self) -> None:
        """Run the destructor, of either kind, and end the threads."""
        instance, self.instance = self.instance, None
        self._methods.clear()
        function = getattr(instance, "__del__", None) if self._is_class else None
        if function is not None:
            try:
                value = function()
                if inspect.isawaitable(value):
                    await value
            finally:
                # It must not run a second time when the object is collected.
                type(instance).__del__ = _nothing
        self._pool.shutdown(wait=False, cancel_futures=True)


def _nothing(_self: Any) -> None:
    """Stands for a destructor that has run."""
