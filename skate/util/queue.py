"""A first-in first-out queue that tasks, actors and drivers share."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterable
from typing import Any

import skate

__all__ = ["Empty", "Full", "Queue"]


class Empty(queue.Empty):
    """There was nothing to get. Also a `queue.Empty`."""


class Full(queue.Full):
    """There was no room to put. Also a `queue.Full`."""


class Queue:
    """A first-in first-out queue held by an actor: pass it to tasks and actors to connect them.

    It lives until `shutdown`, or until the last `Queue` object for it is gone.

    Args:
        maxsize: How many items it holds; 0 or less for any number.
        actor_options: Options of the actor that holds it, such as {"name": "jobs"} or {"num_cpus": 1}.

    Attributes:
        maxsize: As given.
        actor: The handle of that actor; None after `shutdown`.

    Example:
        >>> import skate
        >>> from skate.util.queue import Queue
        >>> jobs = Queue(maxsize=10)
        >>> @skate.remote
        ... def produce(jobs):
        ...     jobs.put("a job")
        >>> _ = produce.remote(jobs)
        >>> jobs.get()
        'a job'
        >>> jobs.shutdown()
    """

    def __init__(self, maxsize: int = 0, actor_options: dict[str, Any] | None = None) -> None:
        self.maxsize = maxsize
        self.actor: Any = _ACTOR_CLASS.options(**(actor_options or {})).remote(maxsize)

    def __len__(self) -> int:
        return self.size()

    def size(self) -> int:
        """How many items are in the queue."""
        return int(skate.get(self._held().qsize.remote()))

    def qsize(self) -> int:
        """How many items are in the queue."""
        return self.size()

    def empty(self) -> bool:
        """Whether nothing is in the queue; another process may change that at any time."""
        return self.size() == 0

    def full(self) -> bool:
        """Whether there is no room; another process may change that at any time."""
        return 0 < self.maxsize <= self.size()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Add an item at the end.

        Args:
            item: The item.
            block: Wait for room.
            timeout: Seconds to wait for it; None for as long as it takes.

        Raises:
            Full: there is no room, or was none in time.
            ValueError: `timeout` is negative.
        """
        ref = self._held().put.remote(item, _patience(block, timeout))
        self._check_put(_get(ref), 1)

    async def put_async(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """As `put`, without blocking the event loop."""
        ref = self._held().put.remote(item, _patience(block, timeout))
        self._check_put(await _get_async(ref), 1)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the first item out.

        Args:
            block: Wait for an item.
            timeout: Seconds to wait for it; None for as long as it takes.

        Raises:
            Empty: there is no item, or was none in time.
            ValueError: `timeout` is negative.
        """
        ref = self._held().get.remote(_patience(block, timeout))
        return self._check_got(_get(ref), 1)[0]

    async def get_async(self, block: bool = True, timeout: float | None = None) -> Any:
        """As `get`, without blocking the event loop."""
        ref = self._held().get.remote(_patience(block, timeout))
        return self._check_got(await _get_async(ref), 1)[0]

    def put_nowait(self, item: Any) -> None:
        """`put(item, block=False)`."""
        self.put(item, block=False)

    def get_nowait(self) -> Any:
        """`get(block=False)`."""
        return self.get(block=False)

    def put_nowait_batch(self, items: Iterable[Any]) -> None:
        """Add all items at the end, in order, or none of them.

        Raises:
            Full: there is no room for all of them.
            TypeError: `items` cannot be iterated over.
        """
        if not isinstance(items, Iterable):
            raise TypeError(f"items={items!r} is of type {type(items).__name__}: it must be an iterable.")
        batch = list(items)
        self._check_put(skate.get(self._held().put_batch.remote(batch)), len(batch))

    def get_nowait_batch(self, num_items: int) -> list[Any]:
        """Take the first `num_items` items out, or none.

        Raises:
            Empty: there are fewer.
            TypeError: `num_items` is not an int.
            ValueError: `num_items` is negative.
        """
        if not isinstance(num_items, int):
            raise TypeError(
                f"num_items={num_items!r} is of type {type(num_items).__name__}: it must be an int."
            )
        if num_items < 0:
            raise ValueError(f"num_items={num_items} is not allowed: it must be 0 or more.")
        return self._check_got(skate.get(self._held().get_batch.remote(num_items)), num_items)

    def shutdown(self, force: bool = False, grace_period_s: float = 5) -> None:
        """End the actor that holds the queue; what is in it is lost. Nothing happens the second time.

        Args:
            force: Kill it at once, without waiting for the calls it has begun.
            grace_period_s: Seconds to wait for them before it is killed all the same.
        """
        actor, self.actor = self.actor, None
        if actor is None:
            return
        if not force:
            ended, _ = skate.wait([actor.__ray_terminate__.remote()], timeout=grace_period_s)
            if ended:
                return
        skate.kill(actor, no_restart=True)

    def _held(self) -> Any:
        if self.actor is None:
            raise RuntimeError("This queue was shut down: make a new Queue().")
        return self.actor

    def _check_put(self, room: bool, wanted: int) -> None:
        if not room:
            raise Full(f"no room for {wanted} more in a queue of at most {self.maxsize} items")

    def _check_got(self, items: list[Any] | None, wanted: int) -> list[Any]:
        if items is None:
            raise Empty(f"the queue does not hold {wanted} item{'s' if wanted > 1 else ''}")
        return items


def _patience(block: bool, timeout: float | None) -> float | None:
    """Seconds to wait: 0 for not at all, None without end."""
    if not block:
        return 0.0
    if timeout is not None and timeout < 0:
        raise ValueError(f"timeout={timeout} is not allowed: it must be a non-negative number or None.")
    return timeout


def _get(ref: Any) -> Any:
    try:
        return skate.get(ref)
    except KeyboardInterrupt:
        skate.cancel(ref)  # or the actor would later hand an item to nobody
        raise


async def _get_async(ref: Any) -> Any:
    try:
        return await ref
    except asyncio.CancelledError:
        skate.cancel(ref)  # or the actor would later hand an item to nobody
        raise


class _QueueActor:
    """Holds the items. Says by its result, not by an error, that there was no room or no item."""

    def __init__(self, maxsize: int) -> None:
        self.maxsize = maxsize
        self.queue: asyncio.Queue[Any] = asyncio.Queue(maxsize)

    async def qsize(self) -> int:
        return self.queue.qsize()

    async def put(self, item: Any, timeout: float | None) -> bool:
        if timeout == 0:
            return await self.put_batch([item])
        try:
            await asyncio.wait_for(self.queue.put(item), timeout)
        except TimeoutError:
            return False
        return True

    async def get(self, timeout: float | None) -> list[Any] | None:
        if timeout == 0:
            return await self.get_batch(1)
        try:
            return [await asyncio.wait_for(self.queue.get(), timeout)]
        except TimeoutError:
            return None

    async def put_batch(self, items: list[Any]) -> bool:
        if 0 < self.maxsize < self.queue.qsize() + len(items):
            return False
        for item in items:
            self.queue.put_nowait(item)
        return True

    async def get_batch(self, num_items: int) -> list[Any] | None:
        if self.queue.qsize() < num_items:
            return None
        return [self.queue.get_nowait() for _ in range(num_items)]


# Each blocked get or put occupies a slot; with the usual 1000, enough blocked gets would keep every put out.
_ACTOR_CLASS: Any = skate.remote(max_concurrency=1_000_000)(_QueueActor)
