"""What a pool's calls return: results to wait for, and iterators over them."""

from __future__ import annotations

import multiprocessing
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import skate


class PoolTaskError(Exception):
    """A function raised in a pool: what `imap` yields in a result's place, and what `error_callback` is given.

    Attributes:
        underlying: What was raised. `get()` and `map` raise that itself.
    """

    def __init__(self, underlying: BaseException) -> None:
        super().__init__(underlying)
        self.underlying = underlying


def fetch(ref: Any, timeout: float | None = None) -> list[Any]:
    """A chunk's results, with a `PoolTaskError` in the place of each that failed.

    Raises:
        multiprocessing.TimeoutError: `timeout` seconds passed first.
        RayError: the chunk is lost: its process died, or its results can't be pickled.
    """
    try:
        results: list[Any] = skate.get(ref, timeout=timeout)
    except skate.exceptions.GetTimeoutError as error:
        raise multiprocessing.TimeoutError(f"no result after {timeout} s") from error
    return results


class AsyncResult:
    """The results of one call of a pool, some of which may not be there yet.

    Args:
        chunk_object_refs: A ref for each chunk.
        callback: Called with the result, in a thread of the pool's.
        error_callback: Called with a `PoolTaskError`, the same.
        single_result: There is one result rather than a list.
    """

    def __init__(
        self,
        chunk_object_refs: list[Any],
        callback: Callable[[Any], Any] | None = None,
        error_callback: Callable[[Any], Any] | None = None,
        single_result: bool = False,
        *,
        callbacks: CallbackThread | None = None,
    ) -> None:
        self._refs = chunk_object_refs
        self._single = single_result
        self._chunks: list[list[Any]] | None = None
        self._callback = callback
        self._error_callback = error_callback
        if callback is not None or error_callback is not None:
            (callbacks or CallbackThread()).watch(self)

    @property
    def refs(self) -> list[Any]:
        """A ref for each chunk."""
        return self._refs

    def wait(self, timeout: float | None = None) -> None:
        """Wait until all results are there, or `timeout` seconds have passed."""
        if self._refs:
            skate.wait(self._refs, num_returns=len(self._refs), timeout=timeout)

    def ready(self) -> bool:
        """Whether all results are there."""
        if not self._refs:
            return True
        ready, _ = skate.wait(self._refs, num_returns=len(self._refs), timeout=0)
        return len(ready) == len(self._refs)

    def successful(self) -> bool:
        """Whether no call raised.

        Raises:
            ValueError: not all results are there.
        """
        if not self.ready():
            raise ValueError(f"{self!r} not ready: call wait() or get() first.")
        try:
            self.get()
        except Exception:  # noqa: BLE001 -- whether there was one is what is asked
            return False
        return True

    def get(self, timeout: float | None = None) -> Any:
        """The results, or the one result.

        Args:
            timeout: Seconds to wait at most.

        Raises:
            multiprocessing.TimeoutError: time was up.
            Exception: what the function raised, the first by position.
        """
        outcome = self.outcome(timeout)
        if isinstance(outcome, PoolTaskError):
            raise outcome.underlying
        return outcome

    def outcome(self, timeout: float | None = None) -> Any:
        """As `get`, but returns a `PoolTaskError` rather than raise what it holds."""
        if self._chunks is None:
            self._chunks = fetch(self._refs, timeout)
        results = [result for chunk in self._chunks for result in chunk]
        failed = next((result for result in results if isinstance(result, PoolTaskError)), None)
        if failed is not None:
            return failed
        return results[0] if self._single else results

    def call_back(self) -> None:
        """Hand the outcome to the callbacks."""
        try:
            outcome = self.outcome()
        except skate.exceptions.RayError as error:
            outcome = PoolTaskError(error)
        chosen = self._error_callback if isinstance(outcome, PoolTaskError) else self._callback
        if chosen is not None:
            chosen(outcome)


class CallbackThread:
    """Runs callbacks one at a time in a thread that exists only while some are due."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._due = 0
        self._finished: queue.SimpleQueue[AsyncResult] = queue.SimpleQueue()

    def watch(self, result: AsyncResult) -> None:
        """Run the result's callbacks once all of it is there."""
        with self._lock:
            self._due += 1
            if self._due == 1:
                threading.Thread(target=self._run, name="skate-pool-callbacks", daemon=True).start()
        left = [len(result.refs)]
        if not result.refs:
            self._finished.put(result)

        def arrived(_future: Any) -> None:
            with self._lock:
                left[0] -= 1
                last = left[0] == 0
            if last:
                self._finished.put(result)

        for ref in result.refs:
            ref.future().add_done_callback(arrived)

    def _run(self) -> None:
        while True:
            result = self._finished.get()
            try:
                result.call_back()
            except Exception as error:  # noqa: BLE001 -- a callback's error has nobody to go to but the thread's hook
                what = (type(error), error, error.__traceback__, threading.current_thread())
                threading.excepthook(threading.ExceptHookArgs(what))
            with self._lock:
                self._due -= 1
                if not self._due:
                    return


class IMapIterator:
    """The results of `imap` one by one. The input is read only a few chunks ahead.

    Args:
        submit: Starts the next chunk and returns its ref; raises StopIteration at the input's end.
        ahead: How many chunks to keep under way.
    """

    def __init__(self, submit: Callable[[], Any], ahead: int) -> None:
        self._submit = submit
        self._running: deque[Any] = deque()
        self._ready: deque[Any] = deque()
        self._ended = False
        self._lock = threading.Lock()
        for _ in range(ahead):
            self._start_one()

    def _start_one(self) -> None:
        if self._ended:
            return
        try:
            self._running.append(self._submit())
        except StopIteration:
            self._ended = True

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self, timeout: float | None = None) -> Any:
        """The next result; a `PoolTaskError` in its place if the function raised.

        Args:
            timeout: Seconds to wait at most.

        Raises:
            multiprocessing.TimeoutError: time was up; the result can be asked for again.
            StopIteration: there are no more.
        """
        with self._lock:
            while not self._ready:
                if not self._running:
                    raise StopIteration
                ref = self._next_chunk(timeout)
                self._start_one()
                self._ready.extend(fetch(ref))
            return self._ready.popleft()

    def _next_chunk(self, timeout: float | None) -> Any:
        raise NotImplementedError

    def _wait(self, refs: list[Any], timeout: float | None) -> Any:
        ready, _ = skate.wait(refs, num_returns=1, timeout=timeout)
        if not ready:
            raise multiprocessing.TimeoutError(f"no result after {timeout} s")
        return ready[0]


class OrderedIMapIterator(IMapIterator):
    """Results in the order of the input."""

    def _next_chunk(self, timeout: float | None) -> Any:
        ref = self._wait([self._running[0]], timeout)
        self._running.popleft()
        return ref


class UnorderedIMapIterator(IMapIterator):
    """Results in the order in which their chunks are ready."""

    def _next_chunk(self, timeout: float | None) -> Any:
        ref = self._wait(list(self._running), timeout)
        self._running.remove(ref)
        return ref


__all__ = [
    "AsyncResult",
    "CallbackThread",
    "IMapIterator",
    "OrderedIMapIterator",
    "PoolTaskError",
    "UnorderedIMapIterator",
    "fetch",
]
