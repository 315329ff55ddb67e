"""A pool of processes, each of them an actor."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from itertools import islice
from typing import Any, Self

import skate
from skate.util.multiprocessing.results import (
    AsyncResult,
    CallbackThread,
    IMapIterator,
    OrderedIMapIterator,
    PoolTaskError,
    UnorderedIMapIterator,
)

RAY_ADDRESS_ENV = "RAY_ADDRESS"

_CHUNKS_PER_PROCESS = 4  # as many as the standard pool makes


class _PoolActor:
    """Runs a pool's functions, a chunk at a time."""

    def __init__(self, initializer: Callable[..., Any] | None, initargs: tuple[Any, ...]) -> None:
        if initializer is not None:
            initializer(*initargs)

    def ping(self) -> None:
        """Answer once the initializer has run."""

    def apply(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        try:
            return [func(*args, **kwargs)]
        except Exception as error:  # noqa: BLE001 -- the caller is told
            return [PoolTaskError(error)]

    def map(self, func: Any, items: list[Any], star: bool) -> list[Any]:
        results: list[Any] = []
        rest = iter(items)
        while True:
            try:
                if star:
                    for item in rest:
                        results.append(func(*item))
                else:
                    for item in rest:
                        results.append(func(item))
                return results
            except Exception as error:  # noqa: BLE001 -- the caller is told; the items after it are done too
                results.append(PoolTaskError(error))


PoolActor: Any = skate.remote(num_cpus=0)(_PoolActor)


class _Process:
    """One of a pool's actors, with the chunks it has been given and has not finished."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.given = 0
        self.pending: deque[Any] = deque()

    def load(self) -> int:
        """How many chunks are still to be done."""
        while self.pending and skate.wait([self.pending[0]], timeout=0)[0]:
            self.pending.popleft()
        return len(self.pending)


class Pool:
    """A pool of processes, to be used as `multiprocessing.Pool` is.

    Args:
        processes: How many; default: as many as the session has CPUs.
        initializer: Called once in each process.
        initargs: Its arguments.
        maxtasksperchild: After how many calls or chunks a process is replaced by a new one; default: never.
        context: Accepted for programs of the standard pool.
        ray_address: Where the session is that is to be joined; default: the running one, or a new one.
        ray_remote_args: Options of the actors, such as {"num_cpus": 1}; they hold no CPU unless told to.

    Raises:
        ValueError: `processes` is below 1, or above the CPUs of the session.

    Example:
        >>> from skate.util.multiprocessing import Pool
        >>> with Pool(2) as pool:
        ...     pool.map(abs, [-1, 2, -3])
        [1, 2, 3]
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., Any] | None = None,
        initargs: Iterable[Any] | None = None,
        maxtasksperchild: int | None = None,
        context: Any = None,
        ray_address: str | None = None,
        ray_remote_args: dict[str, Any] | None = None,
    ) -> None:
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer={initializer!r}: a function is needed.")
        if maxtasksperchild is not None and maxtasksperchild < 1:
            raise ValueError(
                f"maxtasksperchild={maxtasksperchild!r}: at least 1 is needed, or None for no limit."
            )
        self._closed = False
        self._maxtasksperchild = maxtasksperchild
        self._initializer = initializer
        self._initargs = tuple(initargs or ())
        self._actor_class = PoolActor.options(**ray_remote_args) if ray_remote_args else PoolActor
        self._callbacks = CallbackThread()
        self._retired: list[_Process] = []
        count = _start_session(processes, ray_address)
        self._pool = [_Process(self._new_actor()) for _ in range(count)]
        skate.get([process.actor.ping.remote() for process in self._pool])

    def _new_actor(self) -> Any:
        return self._actor_class.remote(self._initializer, self._initargs)

    # -- handing out work ----------------------------------------

    def _check_running(self) -> None:
        if self._closed:
            raise ValueError("Pool not running: it has been closed or terminated.")

    def _call(self, name: str, *args: Any) -> Any:
        """Give a chunk to the process that has the least to do."""
        loads = [(process.load(), index) for index, process in enumerate(self._pool)]
        index = min(loads)[1]
        process = self._pool[index]
        if process.given == self._maxtasksperchild:
            # It ends by itself once its chunks are done and nobody holds a handle; join() waits for those.
            self._retired = [each for each in self._retired if each.load()]
            self._retired.append(process)
            process.actor = None
            process = self._pool[index] = _Process(self._new_actor())
        process.given += 1
        ref = getattr(process.actor, name).remote(*args)
        process.pending.append(ref)
        return ref

    def _chunks(self, func: Any, iterable: Iterable[Any], chunksize: int | None, star: bool) -> Iterator[Any]:
        """Refs of the chunks, each submitted when it is asked for."""
        shared = skate.put(func)
        items = iter(iterable)
        while chunk := list(islice(items, chunksize)):
            yield self._call("map", shared, chunk, star)

    # -- calls ----------------------------------------

    def apply(self, func: Callable[..., Any], args: Any = None, kwargs: dict[str, Any] | None = None) -> Any:
        """`func(*args, **kwargs)` in one of the processes; waits for the result."""
        return self.apply_async(func, args, kwargs).get()

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Any = None,
        kwargs: dict[str, Any] | None = None,
        callback: Callable[[Any], Any] | None = None,
        error_callback: Callable[[Any], Any] | None = None,
    ) -> AsyncResult:
        """As `apply`, without waiting.

        Args:
            func: A function.
            args: Positional arguments.
            kwargs: Keyword arguments.
            callback: Called with the result in a thread of this process.
            error_callback: Called with a `PoolTaskError` if the function raised.
        """
        self._check_running()
        ref = self._call("apply", func, tuple(args or ()), dict(kwargs or {}))
        return AsyncResult([ref], callback, error_callback, single_result=True, callbacks=self._callbacks)

    def map(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = None
    ) -> list[Any]:
        """`func(item)` for every item, in order; waits for the results.

        Args:
            func: A function of one argument.
            iterable: The items.
            chunksize: How many items to send at a time; default: so that each process gets four chunks.

        Raises:
            ValueError: `chunksize` is below 1.
            Exception: what the function raised, the first by position.
        """
        results: list[Any] = self._map_async(func, iterable, chunksize, star=False).get()
        return results

    def map_async(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[list[Any]], Any] | None = None,
        error_callback: Callable[[Any], Any] | None = None,
    ) -> AsyncResult:
        """As `map`, without waiting; callbacks as for `apply_async`."""
        return self._map_async(func, iterable, chunksize, False, callback, error_callback)

    def starmap(
        self, func: Callable[..., Any], iterable: Iterable[Iterable[Any]], chunksize: int | None = None
    ) -> list[Any]:
        """As `map`, with `func(*item)`."""
        results: list[Any] = self._map_async(func, iterable, chunksize, star=True).get()
        return results

    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[list[Any]], Any] | None = None,
        error_callback: Callable[[Any], Any] | None = None,
    ) -> AsyncResult:
        """As `starmap`, without waiting; callbacks as for `apply_async`."""
        if callable(chunksize):  # Ray's own order of arguments: it has no chunksize here
            chunksize, callback, error_callback = None, chunksize, callback
        return self._map_async(func, iterable, chunksize, True, callback, error_callback)

    def _map_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        chunksize: int | None,
        star: bool,
        callback: Callable[[list[Any]], Any] | None = None,
        error_callback: Callable[[Any], Any] | None = None,
    ) -> AsyncResult:
        self._check_running()
        items = iterable if isinstance(iterable, Sized) else list(iterable)
        if chunksize is None:
            chunksize = max(1, -(-len(items) // (len(self._pool) * _CHUNKS_PER_PROCESS)))
        refs = list(self._chunks(func, items, _checked(chunksize), star))
        return AsyncResult(refs, callback, error_callback, callbacks=self._callbacks)

    def imap(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = 1
    ) -> IMapIterator:
        """As `map`, as an iterator that reads the input only as far as needed, so that it may be endless.

        Where the function raised, the iterator yields a `PoolTaskError`.
        """
        return self._imap(OrderedIMapIterator, func, iterable, chunksize)

    def imap_unordered(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = 1
    ) -> IMapIterator:
        """As `imap`, with the results in the order in which they are ready."""
        return self._imap(UnorderedIMapIterator, func, iterable, chunksize)

    def _imap(
        self,
        kind: type[IMapIterator],
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None,
    ) -> IMapIterator:
        self._check_running()
        chunks = self._chunks(func, iter(iterable), _checked(1 if chunksize is None else chunksize), False)
        return kind(chunks.__next__, ahead=2 * len(self._pool))

    # -- the end ----------------------------------------

    def close(self) -> None:
        """Take no more work. Its processes end once they have done what they have."""
        self._closed = True

    def terminate(self) -> None:
        """End at once; what is not done raises `ActorDiedError`."""
        self._closed = True
        for process in (*self._pool, *self._retired):
            if process.actor is not None:
                skate.kill(process.actor)
                process.actor = None

    def join(self) -> None:
        """Wait until all work is done and the processes have been told to end.

        Raises:
            ValueError: the pool is still running: call close() or terminate() first.
        """
        if not self._closed:
            raise ValueError("Pool is still running: call close() or terminate() first.")
        for process in (*self._retired, *self._pool):
            if process.pending:
                skate.wait(list(process.pending), num_returns=len(process.pending))
            process.actor = None

    def __enter__(self) -> Self:
        self._check_running()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.terminate()

    def __reduce__(self) -> Any:
        raise NotImplementedError("A Pool can't be pickled: make one where it is used.")


def _start_session(processes: int | None, address: str | None) -> int:
    """Make sure that a session runs, and say how many processes the pool has."""
    if processes is not None and processes <= 0:
        raise ValueError(f"Processes in the pool must be >0, got {processes}.")
    if not skate.is_initialized():
        address = address or os.environ.get(RAY_ADDRESS_ENV)
        if address is not None and address != "local":
            skate.init(address=address)
        else:
            skate.init(num_cpus=processes)
    cpus = int(skate.cluster_resources().get("CPU", 0))
    if processes is None:
        return max(cpus, 1)
    if processes > cpus:
        raise ValueError(
            f"Tried to start a pool with {processes} processes on an existing session, but there are only {cpus} CPUs in it: "
            "ask for fewer, or start the session with more (num_cpus=…)."
        )
    return processes


def _checked(chunksize: int) -> int:
    if chunksize < 1:
        raise ValueError(f"chunksize={chunksize!r}: at least 1 is needed.")
    return chunksize


__all__ = ["RAY_ADDRESS_ENV", "Pool", "PoolActor"]
