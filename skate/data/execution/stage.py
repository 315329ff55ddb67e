"""A Python stage: a chain of transforms over a stream of inputs, here, in tasks or in an actor pool.

Small work stays in this process: a stage starts here, and moves to tasks when it has taken longer than a task costs.
Results come in the order of the inputs. What is under way and not yet taken is bounded in bytes: tasks pause when
their reader is behind, and fewer are started when results are large.
"""

from __future__ import annotations

import os
import time
import traceback
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

import skate
from skate.data.context import DataContext
from skate.data.execution.bundle import Bundle, compact, split_rows
from skate.data.execution.transforms import Transform, run_chain
from skate.exceptions import RayActorError, RayError, RayTaskError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skate.data.plan.logical import Compute

_HERE_SECONDS = 0.02  # what a stage may take in this process before it moves to tasks …
_HERE_SECONDS_ALONE = 0.3  # … and where there is no session yet, which would have to be started for them
_HERE_BYTES = 4 << 20  # an input larger than this goes to a task at once
_AHEAD = 4  # items of a generator, two for each block, that a task may be ahead of its reader


@dataclass
class Work:
    """One input of a stage: a block, or a task that reads.

    Attributes:
        bundle: The block.
        read: A callable that gives tables, as read tasks are.
        size_bytes: About its size.
        files: The files that it reads.
    """

    bundle: Bundle | None = None
    read: Callable[[], Any] | None = None
    size_bytes: int = 0
    files: tuple[str, ...] = ()
    more: tuple[Bundle, ...] = ()

    def tables(self) -> Iterator[pa.Table]:
        """Its tables, here."""
        if self.read is not None:
            yield from _read(self.read)
        elif self.bundle is not None:
            yield self.bundle.table
            for bundle in self.more:
                yield bundle.table


@dataclass
class StageStats:
    """What a stage did, for `Dataset.stats()`.

    Attributes:
        name: The operators in it.
        blocks: Rows and bytes of each block that it made, with the seconds since the one before.
        tasks: How many tasks ran; 0 if all was done in this process.
        started: When it began, by the monotonic clock.
        ended: When it ended.
    """

    name: str
    blocks: list[tuple[int, int, float]] = field(default_factory=list)
    tasks: int = 0
    started: float = 0.0
    ended: float = 0.0


def run_stage(
    name: str, transforms: list[Transform], compute: Compute, work: Iterator[Work], stats: StageStats
) -> Iterator[Bundle]:
    """The blocks that a stage makes of its inputs, in their order."""
    context = DataContext.get_current()
    target = context.target_max_block_size or (1 << 62)
    stats.started = time.perf_counter()
    try:
        for bundle in _run(name, transforms, compute, work, target, stats):
            now = time.perf_counter()
            stats.blocks.append((bundle.rows, bundle.size_bytes, now - (stats.ended or stats.started)))
            stats.ended = now
            yield bundle
    finally:
        stats.ended = time.perf_counter()


def _run(
    name: str,
    transforms: list[Transform],
    compute: Compute,
    work: Iterator[Work],
    target: int,
    stats: StageStats,
) -> Iterator[Bundle]:
    if compute.pool is not None:
        yield from _in_actors(name, transforms, compute, work, target, stats)
        return
    rest: Iterator[Work] = work
    if not compute.explicit:
        allowed = _HERE_SECONDS if skate.is_initialized() else _HERE_SECONDS_ALONE
        spent = 0.0
        for item in work:
            started = time.perf_counter()
            if item.size_bytes > _HERE_BYTES or spent > allowed:
                rest = _chain(item, work)
                break
            for table in _here(name, transforms, item, target):
                spent += time.perf_counter() - started
                yield Bundle(table, files=item.files)
                started = time.perf_counter()
            spent += time.perf_counter() - started
        else:
            return
    yield from _in_tasks(name, transforms, compute, rest, target, stats)


def _chain(first: Work, rest: Iterator[Work]) -> Iterator[Work]:
    yield first
    yield from rest


def _here(name: str, transforms: list[Transform], item: Work, target: int) -> Iterator[pa.Table]:
    try:
        for table in run_chain(transforms, item.tables()):
            yield from split_rows(table, target)
    except (RayTaskError, GeneratorExit):
        raise
    except Exception as error:
        raise as_task_error(name, error) from error


def as_task_error(name: str, error: Exception) -> RayTaskError:
    """The error as it would come from a task, for work that ran in this process."""
    text = "".join(traceback.format_exception(error))
    return RayTaskError(name, text, error, pid=os.getpid()).as_instanceof_cause()


def _read(read: Callable[[], Any]) -> Iterator[pa.Table]:
    from skate.data import convert

    for block in read():
        yield block if isinstance(block, pa.Table) else convert.table_from_batch(block)


def _work_in_task(
    transforms: list[Transform], target: int, read: Callable[[], Any] | None, *tables: Any
) -> Iterator[Any]:
    """The body of a task: for each block, what is known of it and then the block."""
    for transform in transforms:
        transform.setup()
    source = iter(tables) if read is None else _read(read)
    for table in run_chain(transforms, source):
        for part in split_rows(table, target):
            yield part.num_rows, part.nbytes, part.schema
            yield compact(part)


@dataclass
class _Running:
    items: Any  # the generator of refs
    work: Work


def _in_tasks(
    name: str,
    transforms: list[Transform],
    compute: Compute,
    work: Iterator[Work],
    target: int,
    stats: StageStats,
) -> Iterator[Bundle]:
    options = dict(compute.options)
    options.setdefault("num_cpus", 1)
    task = skate.remote(_work_in_task).options(
        name=name, num_returns="streaming", _generator_backpressure_num_objects=_AHEAD, **options
    )
    shared: Any = None
    window = _Window(compute.concurrency or _cpus(options) + 2)
    running: deque[_Running] = deque()
    exhausted = False
    try:
        while True:
            while not exhausted and len(running) < window.size:
                item = next(work, None)
                if item is None:
                    exhausted = True
                    break
                if shared is None:
                    shared = skate.put(transforms)
                chosen = task.options(**compute.options_fn()) if compute.options_fn else task
                refs = [] if item.bundle is None else [b.ref for b in (item.bundle, *item.more)]
                running.append(_Running(chosen.remote(shared, target, item.read, *refs), item))
                stats.tasks += 1
            if not running:
                return
            made = 0
            current = running[0]
            for bundle in _results(current):
                made += bundle.size_bytes
                yield bundle
            running.popleft()
            window.learn(made)
    finally:
        if skate.is_initialized():  # a stream that is dropped late may outlive the session
            for left in running:
                skate.cancel(left.items)


class _Window:
    """How many tasks may be under way: the fewer, the more bytes each makes."""

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._mean = 0.0
        limits = DataContext.get_current().execution_options.resource_limits
        limit = limits.object_store_memory
        self._budget = float(limit) if limit and limit != float("inf") else _object_store_bytes() / 2
        self.size = self._most

    def learn(self, made: int) -> None:
        self._mean = made if not self._mean else 0.7 * self._mean + 0.3 * made
        fit = int(self._budget // max(1.0, self._mean))
        self.size = max(1, min(self._most, fit))


def _object_store_bytes() -> float:
    return float(skate.cluster_resources().get("object_store_memory", 1 << 30))


def _cpus(options: dict[str, Any]) -> int:
    if not skate.is_initialized():
        skate.init()
    total = skate.cluster_resources().get("CPU", 1.0)
    return max(1, int(total / max(0.25, float(options.get("num_cpus") or 1.0))))


def _results(running: _Running) -> Iterator[Bundle]:
    for ref in running.items:
        rows, size, schema = skate.get(ref)
        block = next(running.items)
        yield Bundle(None, block, rows=rows, size_bytes=size, schema=schema, files=running.work.files)


class _PoolWorker:
    """An actor of a pool: it holds the transforms, set up once."""

    def __init__(self, transforms: list[Transform]) -> None:
        self._transforms = transforms
        for transform in transforms:
            transform.setup()

    def ready(self) -> None:
        """Answers when the constructor has ended."""

    def work(self, target: int, read: Callable[[], Any] | None, *tables: Any) -> Iterator[Any]:
        """As the body of a task."""
        source = iter(tables) if read is None else _read(read)
        for table in run_chain(self._transforms, source):
            for part in split_rows(table, target):
                yield part.num_rows, part.nbytes, part.schema
                yield compact(part)


class _Pool:
    """Actors that come and go by need, between a least and a most."""

    def __init__(self, name: str, transforms: list[Transform], compute: Compute) -> None:
        least, most, initial = compute.pool or (1, 1, 1)
        options = dict(
            compute.options
        )  # without num_cpus an actor holds no CPU, and starves no stage after it
        options.setdefault("max_restarts", -1)
        options.setdefault("max_task_retries", -1)
        self._factory = skate.remote(_PoolWorker).options(**options)
        self._options_fn = compute.options_fn
        self._shared = skate.put(transforms)
        self._most = most
        self._load: dict[int, int] = {}
        self._actors: dict[int, Any] = {}
        self.per_actor = compute.in_flight or 2
        for _ in range(max(1, least, min(initial, most))):
            self._start()

    def _start(self) -> None:
        factory = self._factory.options(**self._options_fn()) if self._options_fn else self._factory
        number = len(self._actors)
        self._actors[number] = factory.remote(self._shared)
        self._load[number] = 0

    @property
    def has_room(self) -> bool:
        """Whether an actor has fewer calls than it may have, or another can be started."""
        return min(self._load.values()) < self.per_actor or len(self._actors) < self._most

    def submit(self, target: int, item: Work) -> tuple[int, Any]:
        """Give work to the actor with the least of it."""
        number = min(self._load, key=self._load.__getitem__)
        if self._load[number] > 0 and len(self._actors) < self._most:
            self._start()
            number = len(self._actors) - 1
        self._load[number] += 1
        refs = [] if item.bundle is None else [b.ref for b in (item.bundle, *item.more)]
        method = self._actors[number].work.options(
            num_returns="streaming", _generator_backpressure_num_objects=_AHEAD
        )
        return number, method.remote(target, item.read, *refs)

    def done(self, number: int) -> None:
        """Note that an actor has ended a call."""
        self._load[number] -= 1

    def close(self) -> None:
        """End all actors."""
        if skate.is_initialized():
            for actor in self._actors.values():
                skate.kill(actor)
        self._actors.clear()


def _in_actors(
    name: str,
    transforms: list[Transform],
    compute: Compute,
    work: Iterator[Work],
    target: int,
    stats: StageStats,
) -> Iterator[Bundle]:
    pool = _Pool(name, transforms, compute)
    running: deque[tuple[int, _Running]] = deque()
    exhausted = False
    try:
        while True:
            while not exhausted and pool.has_room:
                item = next(work, None)
                if item is None:
                    exhausted = True
                    break
                number, items = pool.submit(target, item)
                running.append((number, _Running(items, item)))
                stats.tasks += 1
            if not running:
                return
            number, current = running[0]
            try:
                yield from _results(current)
            except RayActorError as error:
                cause = getattr(error, "cause", None)  # what the class raised, when it was instantiated
                raise (cause if isinstance(cause, RayError) else error) from error
            running.popleft()
            pool.done(number)
    finally:
        pool.close()


def bundle_inputs(work: Iterator[Work], rows: int) -> Iterator[Work]:
    """Blocks joined to inputs of at least so many rows, so that batches of that size can be made of them."""
    held: list[Bundle] = []
    count = 0
    for item in work:
        if item.bundle is None:
            yield item
            continue
        held.append(item.bundle)
        count += item.bundle.rows
        if count >= rows:
            yield _joined(held)
            held, count = [], 0
    if held:
        yield _joined(held)


def _joined(held: list[Bundle]) -> Work:
    files = tuple(dict.fromkeys(f for bundle in held for f in bundle.files))
    return Work(held[0], None, sum(bundle.size_bytes for bundle in held), files, tuple(held[1:]))


__all__ = ["StageStats", "Work", "as_task_error", "bundle_inputs", "run_stage"]
