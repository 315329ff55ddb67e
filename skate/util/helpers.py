"""Results in the order in which they are ready."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import skate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def as_completed(
    refs: Iterable[Any], *, chunk_size: int = 10, yield_obj_refs: bool = False, **kwargs: Any
) -> Iterator[Any]:
    """Yield each result as soon as it is ready, the first ready first.

    Args:
        refs: Distinct object refs.
        chunk_size: At most how many ready results are taken at a time.
        yield_obj_refs: Yield the ready refs rather than their values.
        **kwargs: Passed to `skate.wait`, such as `fetch_local`.

    Raises:
        ValueError: `chunk_size` is below 1.

    Example:
        >>> import skate
        >>> from skate.util import as_completed
        >>> sorted(as_completed([skate.put(value) for value in "abc"]))
        ['a', 'b', 'c']
    """
    _check_chunk(chunk_size)
    return _as_completed(list(refs), chunk_size, yield_obj_refs, kwargs)


def _as_completed(
    refs: list[Any], chunk_size: int, yield_obj_refs: bool, kwargs: dict[str, Any]
) -> Iterator[Any]:
    while refs:
        ready, refs = _wait_some(refs, chunk_size, kwargs)
        for ref in ready:
            yield ref if yield_obj_refs else skate.get(ref)


def map_unordered(
    fn: Any,
    items: Iterable[Any],
    *,
    backpressure_size: int | None = 100,
    chunk_size: int = 10,
    yield_obj_refs: bool = False,
    **kwargs: Any,
) -> Iterator[Any]:
    """Run a remote function on every item and yield the results as they are ready.

    `items` is read only as far as needed, so it may be endless.

    Args:
        fn: A remote function, or an actor's method, of one argument.
        items: Its arguments.
        backpressure_size: At most how many calls have been made and not yielded yet; None for no limit.
        chunk_size: At most how many ready results are taken at a time.
        yield_obj_refs: Yield the ready refs rather than their values.
        **kwargs: Passed to `skate.wait`, such as `fetch_local`.

    Raises:
        ValueError: `backpressure_size` or `chunk_size` is below 1.
        TypeError: `fn` is not remote, or `items` cannot be iterated over.

    Example:
        >>> import skate
        >>> from skate.util import map_unordered
        >>> @skate.remote
        ... def double(x):
        ...     return 2 * x
        >>> sorted(map_unordered(double, range(4)))
        [0, 2, 4, 6]
    """
    _check_chunk(chunk_size)
    if backpressure_size is not None and backpressure_size < 1:
        raise ValueError(
            f"backpressure_size={backpressure_size} is not allowed: give 1 or more, or None for no limit."
        )
    if not hasattr(fn, "remote"):
        raise TypeError(f"fn={fn!r} is not remote: decorate it with @skate.remote.")
    calls = (fn.remote(item) for item in items)
    return _map_unordered(calls, backpressure_size, chunk_size, yield_obj_refs, kwargs)


def _map_unordered(
    calls: Iterator[Any], limit: int | None, chunk_size: int, yield_obj_refs: bool, kwargs: dict[str, Any]
) -> Iterator[Any]:
    running = list(islice(calls, limit))
    while running:
        ready, running = _wait_some(running, chunk_size, kwargs)
        for ref in ready:
            running.extend(islice(calls, 1))  # before the caller gets to work on the result
            yield ref if yield_obj_refs else skate.get(ref)


def _check_chunk(chunk_size: int) -> None:
    if chunk_size < 1:
        raise ValueError(f"chunk_size={chunk_size} is not allowed: `chunk_size` must be >= 1.")


def _wait_some(refs: list[Any], most: int, kwargs: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Wait for one ref, then take as many as are ready, up to `most`."""
    ready, rest = skate.wait(refs, num_returns=1, **kwargs)
    if rest and most > 1 and ready:
        more, rest = skate.wait(rest, num_returns=min(most - 1, len(rest)), **{**kwargs, "timeout": 0})
        ready = ready + more
    return ready, rest


__all__ = ["as_completed", "map_unordered"]
