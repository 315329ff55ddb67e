"""A first-in first-out queue that tasks, actors and drivers share."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Iterable
from typing import Any

import skate

__all__ = ["Empty", "Full", "Queue"]


class Empty(queue.Empty):
    """There was nothing to get. Also a `queue.Empty`, and a `RayTaskError` after a wait or where a batch was asked for."""


class Full(queue.Full):
    """There was no room to put. Also a `queue.Full`, and a `RayTaskError` after a wait or where a batch was given."""


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
        _check_room(_get(self._put(item, block, timeout)))

    async def put_async(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """As `put`, without blocking the event loop."""
        _check_room(await _get_async(self._put(item, block, timeout)))

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the first item out.

        Args:
            block: Wait for an item.
            timeout: Seconds to wait for it; None for as long as it takes.

        Raises:
            Empty: there is no item, or was none in time.
            ValueError: `timeout` is negative.
        """
        return _check_got(_get(self._get(block, timeout)))

    async def get_async(self, block: bool = True, timeout: float | None = None) -> Any:
        """As `get`, without blocking the event loop."""
        return _check_got(await _get_async(self._get(block, timeout)))

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
            raise TypeError(f"Argument 'items' must be an Iterable, got items={items!r}.")
        batch = list(items)
        skate.get(self._held().put_nowait_batch.remote(batch))

    def get_nowait_batch(self, num_items: int) -> list[Any]:
        """Take the first `num_items` items out, or none.

        Raises:
            Empty: there are fewer.
            TypeError: `num_items` is not an int.
            ValueError: `num_items` is negative.
        """
        if not isinstance(num_items, int):
            raise TypeError(f"Argument 'num_items' must be an int, got num_items={num_items!r}.")
        if num_items < 0:
            raise ValueError(f"'num_items' must be nonnegative, got {num_items}.")
        found: list[Any] = skate.get(self._held().get_nowait_batch.remote(num_items))
        return found

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

    def _put(self, item: Any, block: bool, timeout: float | None) -> Any:
        if not block:
            return self._held().put_nowait.remote(item)
        return self._held().put.remote(item, _checked(timeout))

    def _get(self, block: bool, timeout: float | None) -> Any:
        if not block:
            return self._held().get_nowait.remote()
        return self._held().get.remote(_checked(timeout))


def _checked(timeout: float | None) -> float | None:
    if timeout is not None and timeout < 0:
        raise ValueError(
            f"timeout={timeout} is not allowed: 'timeout' must be a non-negative number or None."
        )
    return timeout


def _check_room(room: bool) -> None:
    if not room:
        raise Full


def _check_got(found: list[Any]) -> Any:
    if not found:
        raise Empty
    return found[0]


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
    """Holds the items. Who does not wait is told by a result that there was no room or no item; all others by an error, as in Ray."""

    def __init__(self, maxsize: int) -> None:
        self.maxsize = maxsize
        self.queue: asyncio.Queue[Any] = asyncio.Queue(maxsize)

    async def qsize(self) -> int:
        return self.queue.qsize()

    async def put(self, item: Any, timeout: float | None) -> bool:
        if timeout == 0 and await self.put_nowait(item):
            return True
        try:
            await asyncio.wait_for(self.queue.put(item), timeout)
        except TimeoutError:
            raise Full from None
        return True

    async def get(self, timeout: float | None) -> list[Any]:
        if timeout == 0 and not self.queue.empty():
            return await self.get_nowait()
        try:
            return [await asyncio.wait_for(self.queue.get(), timeout)]
        except TimeoutError:
            raise Empty from None

    async def put_nowait(self, item: Any) -> bool:
        if self.queue.full():
            return False
        self.queue.put_nowait(item)
        return True

    async def get_nowait(self) -> list[Any]:
        return [] if self.queue.empty() else [self.queue.get_nowait()]

    async def put_nowait_batch(self, items: list[Any]) -> None:
        if 0 < self.maxsize < self.queue.qsize() + len(items):
            raise Full(
                f"Cannot add {len(items)} items to queue of size {self.queue.qsize()} and maxsize {self.maxsize}."
            )
        for item in items:
            self.queue.put_nowait(item)

    async def get_nowait_batch(self, num_items: int) -> list[Any]:
        if self.queue.qsize() < num_items:
            raise Empty(f"Cannot get {num_items} items from queue of size {self.queue.qsize()}.")
        return [self.queue.get_nowait() for _ in range(num_items)]


# Each blocked get or put occupies a slot; with the usual 1000, enough blocked gets would keep every put out.
_ACTOR_CLASS: Any = skate.remote(max_concurrency=1_000_000)(_QueueActor)
