"""Spreading calls over a fixed set of actors."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import skate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_NOTHING_LEFT = "No more results to get: everything that was submitted has been returned."


class _Call(NamedTuple):
    """A call that an actor works on, or has answered."""

    place: int  # among all calls, in the order of submission
    actor: Any
    future: Any  # a ref, or the list of refs of a method with several returns


class ActorPool:
    """A set of actors that take calls in turn, each working on one at a time.

    A call is a function of an actor and a value that returns a ref. Calls beyond the number of actors wait
    here, in this process, until an actor is free. Not safe for use from several threads at once.

    Args:
        actors: Handles of the actors.

    Example:
        >>> import skate
        >>> from skate.util import ActorPool
        >>> @skate.remote
        ... class Doubler:
        ...     def double(self, x):
        ...         return 2 * x
        >>> pool = ActorPool([Doubler.remote(), Doubler.remote()])
        >>> list(pool.map(lambda actor, value: actor.double.remote(value), [1, 2, 3]))
        [2, 4, 6]
    """

    def __init__(self, actors: Iterable[Any]) -> None:
        self._idle: list[Any] = list(actors)
        self._waiting: deque[tuple[int, Callable[[Any, Any], Any], Any]] = deque()
        self._running: dict[Any, _Call] = {}  # by the ref that tells that it has ended
        self._ended: dict[int, _Call] = {}  # by place
        self._next_place = 0

    def map(self, fn: Callable[[Any, Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        """Submit a call for every value now and iterate over the results, in the order of the values.

        Results of earlier calls that nobody fetched are dropped.

        Args:
            fn: Called as `fn(actor, value)`; returns a ref.
            values: All of them are read at once.
        """
        self._submit_all(fn, values)
        return self._drain(self.get_next)

    def map_unordered(self, fn: Callable[[Any, Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        """As `map`, with the results in the order in which they are ready."""
        self._submit_all(fn, values)
        return self._drain(self.get_next_unordered)

    def submit(self, fn: Callable[[Any, Any], Any], value: Any) -> None:
        """Call `fn(actor, value)` as soon as an actor is free.

        Args:
            fn: Returns a ref, or the list of refs of a method with several returns.
            value: Its second argument.
        """
        self._waiting.append((self._next_place, fn, value))
        self._next_place += 1
        self._start_waiting()

    def has_next(self) -> bool:
        """Whether there are results to fetch."""
        return bool(self._running or self._ended)

    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The result of the oldest call that was not fetched yet.

        Args:
            timeout: Seconds to wait for it; None for as long as it takes.
            ignore_if_timedout: Give this call up when it takes longer, so that the next `get_next` goes on
                with the one after it. Its actor counts as free from then on, though it ends the call first.

        Raises:
            StopIteration: there are no results to fetch.
            TimeoutError: it was not ready in time.
            Exception: what the call raised.
        """
        return self._fetch(True, timeout, ignore_if_timedout)

    def get_next_unordered(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The result of any call that is ready; arguments and errors as in `get_next`."""
        return self._fetch(False, timeout, ignore_if_timedout)

    def has_free(self) -> bool:
        """Whether an actor is free and no call waits for one."""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> Any:
        """Take a free actor out of the pool: its handle, or None if all are busy."""
        return self._idle.pop() if self.has_free() else None

    def push(self, actor: Any) -> None:
        """Add an actor to the pool.

        Raises:
            ValueError: it is in the pool already.
        """
        if actor in self._idle or any(call.actor == actor for call in self._running.values()):
            raise ValueError(f"Actor already belongs to current ActorPool: push {actor!r} once.")
        self._release(actor)

    def _submit_all(self, fn: Callable[[Any, Any], Any], values: Iterable[Any]) -> None:
        self._waiting.clear()
        self._ended.clear()
        for ref in list(self._running):
            self._release(self._running.pop(ref).actor)
        for value in values:
            self.submit(fn, value)

    def _drain(self, fetch: Callable[[], Any]) -> Iterator[Any]:
        while self.has_next():
            yield fetch()

    def _release(self, actor: Any) -> None:
        self._idle.append(actor)
        self._start_waiting()

    def _start_waiting(self) -> None:
        while self._idle and self._waiting:
            place, fn, value = self._waiting.popleft()
            actor = self._idle.pop()
            try:
                future = fn(actor, value)
                signal = future[0] if isinstance(future, list) else future
                if not isinstance(signal, skate.ObjectRef):
                    raise TypeError(
                        f"fn returned {future!r}: it must return a ref, such as actor.method.remote(value)."
                    )
            except BaseException:
                self._idle.append(actor)
                raise
            self._running[signal] = _Call(place, actor, future)

    def _fetch(self, ordered: bool, timeout: float | None, give_up: bool) -> Any:
        if not self.has_next():
            raise StopIteration(_NOTHING_LEFT)
        deadline = None if timeout is None else monotonic() + timeout
        while (call := self._ready(ordered)) is None:
            left = None if deadline is None else max(0.0, deadline - monotonic())
            if not self._wait(ordered, left):
                raise TimeoutError(self._timed_out(give_up))
        del self._ended[call.place]
        return skate.get(call.future)

    def _ready(self, ordered: bool) -> _Call | None:
        if not ordered:
            return next(iter(self._ended.values()), None)
        return self._ended.get(self._oldest())

    def _oldest(self) -> int:
        places = [*self._ended, *(call.place for call in self._running.values())]
        if self._waiting and self._running:
            places.append(self._waiting[0][0])
        return min(places)

    def _wait(self, ordered: bool, timeout: float | None) -> bool:
        """Wait for the call that is wanted, keeping actors busy meanwhile; False if nothing ended in time."""
        watched = list(self._running)
        if ordered and not self._waiting:
            oldest = self._oldest()
            watched = [ref for ref in watched if self._running[ref].place == oldest]
        ready, _ = skate.wait(watched, num_returns=1, timeout=timeout)
        for ref in ready:
            call = self._running.pop(ref)
            self._ended[call.place] = call
            self._release(call.actor)
        return bool(ready)

    def _timed_out(self, give_up: bool) -> str:
        oldest = min(self._running, key=lambda ref: self._running[ref].place)
        if not give_up:
            return "Timed out waiting for result: wait longer, or skip the call with ignore_if_timedout=True."
        self._release(self._running.pop(oldest).actor)
        return f"Timed out waiting for result. The task {oldest!r} has been ignored."


__all__ = ["ActorPool"]
