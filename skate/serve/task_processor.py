"""Queues of Celery: with its brokers (Redis, RabbitMQ, a folder …) and its places for results. Needs the package `celery`."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable
from typing import Any

from skate.serve._private.logs import logger
from skate.serve._private.task_models import (
    DEFAULT_CONSUMER_CONCURRENCY,
    CeleryAdapterConfig,
    TaskProcessorAdapter,
    TaskProcessorConfig,
    TaskResult,
)
from skate.serve._private.utils import get_random_string
from skate.serve.context import _get_internal_replica_context

try:
    from celery import Celery
    from celery.signals import task_failure, task_unknown
    from celery.worker import WorkController
except ImportError as error:
    raise ImportError(
        'tasks of Celery\'s queues need a package: pip install "skate[serve-celery]"'
    ) from error

__all__ = ["CeleryTaskProcessorAdapter"]

_OWN = (
    "task_acks_late",
    "task_ignore_result",
    "task_reject_on_worker_lost",
    "worker_concurrency",
    "worker_pool",
)
"""Settings that follow from what a consumer promises."""


class _Worker(WorkController):  # type: ignore[misc]
    """A worker that another thread can stop, and wait for."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.ready = threading.Event()
        super().__init__(*args, **kwargs)

    def on_consumer_ready(self, consumer: Any) -> None:
        """Tasks are taken from now on."""
        self.ready.set()


class CeleryTaskProcessorAdapter(TaskProcessorAdapter):
    """A queue of Celery. A task counts as done once its handler has returned: one whose replica dies is handled by another.

    Args:
        config: The queue; its `adapter_config` is a `CeleryAdapterConfig`.

    Raises:
        TypeError: it is another one.
        ValueError: its `app_custom_config` has a setting that is the adapter's own.
    """

    def __init__(self, config: TaskProcessorConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(config.adapter_config, CeleryAdapterConfig):
            raise TypeError(
                "TaskProcessorConfig.adapter_config must be an instance of CeleryAdapterConfig, got "
                f"{type(config.adapter_config).__name__}"
            )
        conflicts = sorted(set(config.adapter_config.app_custom_config or {}) & set(_OWN))
        if conflicts:
            raise ValueError(
                f"The following configuration keys cannot be changed via app_custom_config: {conflicts}. The adapter sets them itself."
            )
        self._config = config
        self._app: Any = None
        self._worker: _Worker | None = None
        self._thread: threading.Thread | None = None

    def initialize(self, consumer_concurrency: int = DEFAULT_CONSUMER_CONCURRENCY) -> None:
        """See `TaskProcessorAdapter`."""
        config, celery = self._config, self._config.adapter_config
        app = self._app = Celery(config.queue_name, backend=celery.backend_url, broker=celery.broker_url)
        app.conf.update(
            worker_pool="threads",
            worker_concurrency=consumer_concurrency,
            task_ignore_result=False,
            task_acks_late=True,
            task_reject_on_worker_lost=True,
            worker_hijack_root_logger=False,
        )
        app.conf.update(celery.app_custom_config or {})
        names = (config.queue_name, config.failed_task_queue_name, config.unprocessable_task_queue_name)
        app.conf.update(
            task_queues={
                name: {"exchange": name, "exchange_type": "direct", "routing_key": name}
                for name in names
                if name
            },
            task_routes={"*": {"queue": config.queue_name}},
        )
        if celery.broker_transport_options is not None:
            app.conf.update(broker_transport_options=celery.broker_transport_options)

    def register_task_handle(self, func: Callable[..., Any], name: str | None = None) -> None:
        """See `TaskProcessorAdapter`.

        Raises:
            NotImplementedError: the function is a coroutine function, which Celery does not run.
        """
        if inspect.iscoroutinefunction(func):
            raise NotImplementedError(
                "Async task handlers are not supported yet: Celery calls plain functions. Please use `def`."
            )
        options = {
            "lazy": False,
            "shared": False,
            "autoretry_for": (Exception,),
            "retry_kwargs": {"max_retries": self._config.max_retries},
            "retry_backoff": True,
            "retry_backoff_max": 60,
            "retry_jitter": False,
            **(self._config.adapter_config.task_custom_config or {}),
        }
        if name:
            options["name"] = name
        self._app.task(**options)(func)

    def enqueue_task_sync(
        self, task_name: str, args: Any = None, kwargs: Any = None, **options: Any
    ) -> TaskResult:
        """See `TaskProcessorAdapter`; `options` are those of Celery's `send_task`."""
        sent = self._app.send_task(
            task_name, args=args, kwargs=kwargs, queue=self._config.queue_name, **options
        )
        return TaskResult(id=sent.id, status=sent.status, created_at=time.time(), result=sent.result)

    def get_task_status_sync(self, task_id: str) -> TaskResult:
        """See `TaskProcessorAdapter`."""
        found = self._app.AsyncResult(task_id)
        return TaskResult(id=found.id, status=found.status, result=found.result)

    def start_consumer(self, **kwargs: Any) -> None:
        """See `TaskProcessorAdapter`. Returns once tasks are taken."""
        if self._thread is not None and self._thread.is_alive():
            return
        replica = _get_internal_replica_context()
        own = replica.replica_tag if replica is not None else get_random_string()
        if self._config.failed_task_queue_name:
            task_failure.connect(self._failed)
        if self._config.unprocessable_task_queue_name:
            task_unknown.connect(self._unknown)
        self._app.set_default()  # tasks that are tried again are sent by whichever app is the default of their thread
        worker = self._worker = _Worker(
            app=self._app, hostname=f"{self._app.main}_{own}", queues=[self._config.queue_name]
        )
        self._thread = threading.Thread(target=worker.start, name="celery-worker", daemon=True)
        self._thread.start()
        while not worker.ready.wait(0.1):
            if not self._thread.is_alive():
                raise RuntimeError(
                    f"Celery's worker ended before it took tasks: is there a broker at {self._config.adapter_config.broker_url}?"
                )

    def stop_consumer(self, timeout: float = 10.0) -> None:
        """See `TaskProcessorAdapter`."""
        thread, worker = self._thread, self._worker
        self._thread = self._worker = None
        if thread is None or worker is None or not thread.is_alive():
            return
        worker.stop(exitcode=0)
        thread.join(timeout)
        task_failure.disconnect(self._failed)
        task_unknown.disconnect(self._unknown)
        if thread.is_alive():
            logger.warning("Celery's worker has not ended in %s s: a task is still being handled.", timeout)

    def cancel_task_sync(self, task_id: str) -> None:
        """See `TaskProcessorAdapter`. Only Redis and RabbitMQ tell workers of it."""
        self._app.control.revoke(task_id)

    def get_metrics_sync(self) -> dict[str, Any]:
        """Celery's own statistics, by worker."""
        found: dict[str, Any] = self._app.control.inspect().stats()
        return found

    def health_check_sync(self) -> list[dict[str, Any]]:
        """Which workers answer, as `[{"name": {"ok": "pong"}}]`."""
        found: list[dict[str, Any]] = self._app.control.ping()
        return found

    def _failed(
        self,
        sender: Any = None,
        task_id: str = "",
        args: Any = None,
        kwargs: Any = None,
        einfo: Any = None,
        **_more: Any,
    ) -> None:
        """A task has failed for good: it goes where such tasks are kept."""
        if sender.app is not self._app:
            return
        logger.error("Task %s failed after its last try: %s", task_id, einfo)
        said = [task_id, str(einfo.exception), str(args), str(kwargs), str(einfo)]
        self._app.send_task(sender.name, queue=self._config.failed_task_queue_name, args=said)

    def _unknown(
        self,
        sender: Any = None,
        name: str = "",
        id: str = "",
        message: Any = None,
        exc: Any = None,
        **more: Any,
    ) -> None:
        """A task has come that no handler knows: it goes where such tasks are kept."""
        if sender.app is not self._app:
            return
        logger.error("Task %s is called %s, which no handler knows.", id, name)
        said = [name, id, str(message), str(exc), str(more)]
        self._app.send_task(name, queue=self._config.unprocessable_task_queue_name, args=said)
