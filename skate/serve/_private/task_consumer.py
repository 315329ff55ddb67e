"""What a deployment that takes tasks from a queue is besides its own class."""

from __future__ import annotations

from abc import ABC, abstractmethod


class TaskConsumerWrapper(ABC):
    """The base of what `task_consumer` makes of a class, by which a replica knows it."""

    @abstractmethod
    def initialize_callable(self, consumer_concurrency: int) -> None:
        """Begin to take tasks.

        Args:
            consumer_concurrency: How many are handled at once.
        """
