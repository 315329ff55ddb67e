"""Tasks from a queue: how it is reached, what is said of a task, and the contract of what talks to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from skate.serve._private.constants import DEFAULT_MAX_ONGOING_REQUESTS

DEFAULT_CONSUMER_CONCURRENCY = DEFAULT_MAX_ONGOING_REQUESTS


class CeleryAdapterConfig(BaseModel):
    """How Celery reaches its queue.

    Args:
        broker_url: Where tasks wait, such as "redis://…", "amqp://…" or "filesystem://".
        backend_url: Where results are kept, such as "redis://…" or "file:///a/folder".
        app_custom_config: Further settings of the Celery app.
        task_custom_config: Options of all its tasks.
        broker_transport_options: Options of the broker's transport.
    """

    app_custom_config: dict[str, Any] | None = None
    task_custom_config: dict[str, Any] | None = None
    broker_url: str
    backend_url: str
    broker_transport_options: dict[str, Any] | None = None


class TaskProcessorConfig(BaseModel):
    """The queue that a consumer takes its tasks from.

    Args:
        queue_name: Its name.
        adapter: A class that talks to it, or the import path of one.
        adapter_config: What that class is told: a `CeleryAdapterConfig` for the default one.
        max_retries: How often a task is tried again whose handler raises.
        failed_task_queue_name: Where those go that failed for good; None: nowhere.
        unprocessable_task_queue_name: Where those go that no handler knows.
    """

    queue_name: str
    adapter: str | Callable[..., Any] = "skate.serve.task_processor.CeleryTaskProcessorAdapter"
    adapter_config: Any
    max_retries: int | None = 3
    failed_task_queue_name: str | None = None
    unprocessable_task_queue_name: str | None = None


class TaskResult(BaseModel):
    """A task, and how it stands.

    Args:
        id: Its id.
        status: A word of the adapter's: PENDING, STARTED, RETRY, SUCCESS, FAILURE … for Celery.
        created_at: When it was put into the queue, in seconds.
        result: What its handler returned, or the error that it raised.
    """

    id: str
    status: str
    created_at: float | None = None
    result: Any


class TaskProcessorAdapter(ABC):
    """What talks to a queue: for those who put tasks into it, and for a consumer. Asynchronous forms are optional.

    Args:
        config: The queue.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: B027 -- an adapter may have nothing to do here
        """Subclasses keep their `TaskProcessorConfig`, which is the only argument."""

    @abstractmethod
    def initialize(self, consumer_concurrency: int = DEFAULT_CONSUMER_CONCURRENCY) -> None:
        """Get ready; a consumer then handles so many tasks at once."""

    @abstractmethod
    def register_task_handle(self, func: Callable[..., Any], name: str | None = None) -> None:
        """Have a function handle the tasks of a name; default: its own."""

    @abstractmethod
    def enqueue_task_sync(
        self, task_name: str, args: Any = None, kwargs: Any = None, **options: Any
    ) -> TaskResult:
        """Put a task into the queue.

        Args:
            task_name: What its handler is called.
            args: Positional arguments of the handler.
            kwargs: Keyword arguments.
            options: The adapter's own.
        """

    @abstractmethod
    def get_task_status_sync(self, task_id: str) -> TaskResult:
        """How a task stands."""

    @abstractmethod
    def start_consumer(self, **kwargs: Any) -> None:
        """Begin to take tasks."""

    @abstractmethod
    def stop_consumer(self, timeout: float = 10.0) -> None:
        """Take no more tasks, and wait so many seconds for those that are being handled."""

    @abstractmethod
    def cancel_task_sync(self, task_id: str) -> Any:
        """Have a task not be handled."""

    @abstractmethod
    def get_metrics_sync(self) -> dict[str, Any]:
        """Figures of the queue's consumers."""

    @abstractmethod
    def health_check_sync(self) -> list[dict[str, Any]]:
        """Which consumers answer."""

    async def enqueue_task_async(
        self, task_name: str, args: Any = None, kwargs: Any = None, **options: Any
    ) -> TaskResult:
        """As `enqueue_task_sync`.

        Raises:
            NotImplementedError: the adapter has no asynchronous form.
        """
        raise NotImplementedError(_only_sync("enqueue_task"))

    async def get_task_status_async(self, task_id: str) -> TaskResult:
        """As `get_task_status_sync`; raises as `enqueue_task_async`."""
        raise NotImplementedError(_only_sync("get_task_status"))

    async def cancel_task_async(self, task_id: str) -> Any:
        """As `cancel_task_sync`; raises as `enqueue_task_async`."""
        raise NotImplementedError(_only_sync("cancel_task"))

    async def get_metrics_async(self) -> dict[str, Any]:
        """As `get_metrics_sync`; raises as `enqueue_task_async`."""
        raise NotImplementedError(_only_sync("get_metrics"))

    async def health_check_async(self) -> list[dict[str, Any]]:
        """As `health_check_sync`; raises as `enqueue_task_async`."""
        raise NotImplementedError(_only_sync("health_check"))


def _only_sync(name: str) -> str:
    return f"Subclass must implement {name}_async function: this adapter has {name}_sync alone."
