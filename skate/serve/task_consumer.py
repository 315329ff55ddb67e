"""Deployments that take tasks from a queue, rather than requests: each replica handles some at a time, and keeps their results."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import update_wrapper, wraps
from typing import Any

from skate.serve._private.logs import logger
from skate.serve._private.task_consumer import TaskConsumerWrapper
from skate.serve._private.task_models import (
    DEFAULT_CONSUMER_CONCURRENCY,
    TaskProcessorAdapter,
    TaskProcessorConfig,
)
from skate.serve._private.utils import import_attr

__all__ = ["instantiate_adapter_from_config", "task_consumer", "task_handler"]


def instantiate_adapter_from_config(task_processor_config: TaskProcessorConfig) -> TaskProcessorAdapter:
    """What talks to a queue, ready to put tasks into it.

    Args:
        task_processor_config: The queue.

    Raises:
        TypeError: the adapter is neither a class nor the path of one, or no `TaskProcessorAdapter`.
        RuntimeError: it could not be made.

    Example:
        ```python
        adapter = instantiate_adapter_from_config(config)
        task = adapter.enqueue_task_sync("resize", args=["picture.png"])
        adapter.get_task_status_sync(task.id).status
        ```
    """
    return _adapter(task_processor_config, DEFAULT_CONSUMER_CONCURRENCY)


def _adapter(config: TaskProcessorConfig, concurrency: int) -> TaskProcessorAdapter:
    given = config.adapter
    if isinstance(given, str):
        given = import_attr(given.replace("ray.serve", "skate.serve", 1))
    if not callable(given):
        raise TypeError(
            f"Adapter must be either a string path or a callable class, got {type(given).__name__}: {given}"
        )
    name = getattr(given, "__name__", str(given))
    try:
        made = given(config)
    except Exception as error:
        raise RuntimeError(f"Failed to instantiate {name}: {error}") from error
    if not isinstance(made, TaskProcessorAdapter):
        raise TypeError(f"{name} must inherit from TaskProcessorAdapter, got {type(made).__name__}")
    try:
        made.initialize(concurrency)
    except Exception as error:
        raise RuntimeError(f"Failed to initialize {name}: {error}") from error
    return made


def task_consumer(*, task_processor_config: TaskProcessorConfig) -> Callable[[type], Any]:
    """Make a deployment's class a consumer: its methods that are `task_handler`s are called with the tasks of a queue.

    Args:
        task_processor_config: The queue.

    Example:
        ```python
        @serve.deployment(num_replicas=2, max_ongoing_requests=5)
        @task_consumer(task_processor_config=config)
        class Pictures:
            @task_handler(name="resize")
            def resize(self, path: str) -> str:
                ...
        ```
    """

    def decorate(cls: type) -> type:
        class Consumer(cls, TaskConsumerWrapper):  # type: ignore[misc]
            _adapter: TaskProcessorAdapter | None = None

            def initialize_callable(self, consumer_concurrency: int) -> None:
                adapter = self._adapter = _adapter(task_processor_config, consumer_concurrency)
                for name, method in inspect.getmembers(cls, inspect.isfunction):
                    if getattr(method, "_is_task_handler", False):
                        adapter.register_task_handle(getattr(self, name), getattr(method, "_task_name", name))
                adapter.start_consumer()
                logger.info("Tasks of queue %s are taken.", task_processor_config.queue_name)

            def __del__(self) -> None:
                if self._adapter is not None:
                    self._adapter.stop_consumer()
                destructor = getattr(super(), "__del__", None)
                if destructor is not None:
                    destructor()

        update_wrapper(Consumer, cls, updated=())
        return Consumer

    return decorate


def task_handler(_func: Callable[..., Any] | None = None, *, name: str | None = None) -> Callable[..., Any]:
    """Have a method of a consumer handle the tasks of a name.

    Args:
        _func: The method, if the decorator is used without parentheses.
        name: The tasks' name; default: the method's.

    Raises:
        ValueError: the name is empty, or no string.
    """
    if name is not None and (not isinstance(name, str) or not name.strip()):
        raise ValueError(f"Task name must be a non-empty string, got {name}")

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def handler(*args: Any, **kwargs: Any) -> Any:
                return await function(*args, **kwargs)
        else:

            @wraps(function)
            def handler(*args: Any, **kwargs: Any) -> Any:
                return function(*args, **kwargs)

        handler._is_task_handler = True  # type: ignore[attr-defined]
        handler._task_name = name or function.__name__  # type: ignore[attr-defined]
        return handler

    return decorate if _func is None else decorate(_func)
