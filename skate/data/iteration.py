"""What iterators are made of: a place to go on from, rows in random order, items made beforehand."""

from __future__ import annotations

import queue
import random
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from skate.data import convert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_VERSION = 1
_ALONE_S = (
    0.02  # what making items may take in the reader's own thread, before another one makes them beforehand
)


@dataclass
class Position:
    """How far an iterator has come, from which another one can go on.

    Attributes:
        epoch: The run that is under way, or will be next; the first one is 0.
        rows: The rows of it that the loop has been given.
        seed: What decides where datasets and buffers that are not seeded put their rows in this run.
    """

    epoch: int = 0
    rows: int = 0
    seed: int | None = None

    def begin(self) -> int:
        """Begin a run, or go on with one; returns its seed."""
        if self.seed is None:
            self.seed = random.SystemRandom().getrandbits(62)
        return self.seed

    def end(self) -> None:
        """Note that the run has ended."""
        self.epoch, self.rows, self.seed = self.epoch + 1, 0, None

    def state(self) -> dict[str, Any]:
        """As plain values."""
        return {"version": _VERSION, **asdict(self)}

    @classmethod
    def of(cls, state: dict[str, Any]) -> Position:
        """From plain values.

        Raises:
            ValueError: they come from elsewhere.
        """
        try:
            if state["version"] != _VERSION:
                raise ValueError(
                    f"load_state_dict: the state is of version {state['version']}, not {_VERSION}."
                )
            return cls(int(state["epoch"]), int(state["rows"]), state["seed"])
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"load_state_dict: {state!r} is nothing that state_dict() has given: pass that on unchanged."
            ) from error


def after(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The tables without the first rows."""
    for table in tables:
        if rows >= table.num_rows:
            rows -= table.num_rows
            continue
        yield table.slice(rows) if rows else table
        rows = 0


def shuffled(
    tables: Iterator[pa.Table], rows: int, batch_size: int | None, seed: int | None
) -> Iterator[pa.Table]:
    """The rows in an order that is random within a buffer: batches are drawn from it while it is full."""
    rng = np.random.default_rng(seed)
    held: list[pa.Table] = []
    count = 0
    size = batch_size or 1024
    for table in tables:
        if table.num_rows == 0:
            continue
        held.append(table)
        count += table.num_rows
        if count >= rows + size:
            whole = convert.concat(held)
            whole = whole.take(pa.array(rng.permutation(whole.num_rows)))
            while whole.num_rows - size >= rows:
                yield whole.slice(0, size)
                whole = whole.slice(size)
            held, count = [whole], whole.num_rows
    if held:
        whole = convert.concat(held)
        yield whole.take(pa.array(rng.permutation(whole.num_rows)))


_END = object()


def prefetched(source: Iterator[Any], ahead: int) -> Iterator[Any]:
    """The items; when making them takes long, a thread makes some beforehand. The thread ends with the loop."""
    spent = 0.0
    try:
        while spent < _ALONE_S:
            started = time.perf_counter()
            item = next(source, _END)
            spent += time.perf_counter() - started
            if item is _END:
                return
            yield item
        yield from _in_thread(source, ahead)
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()


def _in_thread(source: Iterator[Any], ahead: int) -> Iterator[Any]:
    ready: queue.Queue[Any] = queue.Queue(maxsize=ahead)
    stop = threading.Event()

    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in source:
                if not put((item, None)):
                    return
            put((_END, None))
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are read
            put((_END, error))

    thread = threading.Thread(target=work, name="skate-data-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stop.set()
        thread.join()


class Reiterable:
    """What iteration methods return: each `iter()` of it runs the dataset again."""

    def __init__(self, start: Callable[[], Iterator[Any]]) -> None:
        self._start = start
        self._current: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        self._current = self._start()
        return self._current

    def __next__(self) -> Any:
        if self._current is None:
            self._current = self._start()
        return next(self._current)


__all__ = ["Position", "Reiterable", "after", "prefetched", "shuffled"]
