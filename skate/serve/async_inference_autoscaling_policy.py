"""As many replicas as the tasks in a queue ask for: autoscaling of `@task_consumer` deployments."""

from __future__ import annotations

import threading
import time
import urllib.parse
from typing import Any

from skate.serve._private.logs import logger
from skate.serve._private.queue_length import queue_length
from skate.serve.config import AutoscalingContext

__all__ = ["DEFAULT_ASYNC_INFERENCE_QUEUE_POLL_INTERVAL_S", "AsyncInferenceAutoscalingPolicy"]

DEFAULT_ASYNC_INFERENCE_QUEUE_POLL_INTERVAL_S = 10.0


class AsyncInferenceAutoscalingPolicy:
    """Counts the tasks that wait in a queue of Redis or RabbitMQ, beside the deployment's requests.

    The broker is asked in a thread, at most once in `poll_interval_s`; while it does not answer, its last word counts.

    Args:
        broker_url: Where the broker is, such as "redis://localhost:6379/0" or "amqp://guest:guest@localhost:5672//".
        queue_name: The queue.
        rabbitmq_management_url: Where RabbitMQ's management API is, such as "http://guest:guest@localhost:15672/api/".
        poll_interval_s: Seconds between two looks at the queue.

    Example:
        ```python
        AutoscalingPolicy(
            policy_function=AsyncInferenceAutoscalingPolicy,
            policy_kwargs={"broker_url": "redis://localhost:6379/0", "queue_name": "pictures"},
        )
        ```
    """

    def __init__(
        self,
        broker_url: str,
        queue_name: str,
        rabbitmq_management_url: str | None = None,
        poll_interval_s: float = DEFAULT_ASYNC_INFERENCE_QUEUE_POLL_INTERVAL_S,
    ) -> None:
        self._broker_url = broker_url
        self._queue_name = queue_name
        self._rabbitmq_management_url = rabbitmq_management_url
        self._poll_interval_s = poll_interval_s
        self._waiting = 0
        self._asked_at: float | None = None
        self._poll: threading.Thread | None = None

    def __call__(self, ctx: AutoscalingContext) -> tuple[int | float, dict[str, Any]]:
        """The number of replicas, which may be a fraction, and the state of a policy, of which it has none."""
        self._look(time.monotonic())
        total = self._waiting + ctx.total_num_requests
        if ctx.config is None:
            return ctx.target_num_replicas, {}
        return total / ctx.config.get_target_ongoing_requests(), {}

    def _look(self, now: float) -> None:
        """Ask the broker in a thread, if it is time and the last question is answered."""
        if self._asked_at is not None and now - self._asked_at < self._poll_interval_s:
            return
        if self._poll is not None and self._poll.is_alive():
            return
        self._asked_at = now
        self._poll = threading.Thread(target=self._ask, name="serve-queue-length", daemon=True)
        self._poll.start()

    def _ask(self) -> None:
        try:
            self._waiting = queue_length(self._broker_url, self._queue_name, self._rabbitmq_management_url)
        except (OSError, ValueError, ImportError) as error:
            where = urllib.parse.urlsplit(self._broker_url).hostname
            logger.warning("The length of queue %s at %s is not known: %s", self._queue_name, where, error)
