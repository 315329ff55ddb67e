"""A Python stage: a chain of transforms over a stream of inputs, here, in tasks or in an actor pool.

Small work stays in this process: a stage starts here, and moves to tasks when it has taken longer than a task costs.
Results come in the order of the inputs. What is under way and not yet taken is bounded in bytes: tasks pause when
their reader is behind, and fewer are started when results are large.
"""

from __future__ import annotations

import asyncio
import os
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any

import skate
from skate.data.context import DataContext
from skate.data.execution.bundle import Bundle, split_rows
from skate.data.execution.pool import AHEAD, in_actors
from skate.data.execution.progress import StageBar
from skate.data.execution.running import Running, Tolerance, Work, described, read_tables, results
from skate.data.execution.stage_stats import Laps, Made, StageStats
from skate.data.execution.transforms import run_chain
from skate.data.execution.udf import Transform, UserTransform
from skate.exceptions import RayTaskError
from skate.util.placement_group import placement_group_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skate.data.plan.logical import Compute

_HERE_SECONDS = 0.02  # what a stage may take in this process before it moves to tasks …
_HERE_SECONDS_ALONE = 0.3  # … and where there is no session yet, which would have to be started for them
_MOVED_BYTES = (
    400e6  # bytes a second that go to a process and back: a function that is quicker stays where they are
)
_PLACED = frozenset(
    {"num_cpus", "scheduling_strategy"}
)  # options of tasks that say themselves where their CPU is
_HERE_BYTES = 4 << 20  # an input larger than this goes to a task at once


def run_stage(
    name: str, transforms: list[Transform], compute: Compute, work: Iterator[Work], stats: StageStats
) -> Iterator[Bundle]:
    """The blocks that a stage makes of its inputs, in their order."""
    context = DataContext.get_current()
    target = context.target_max_block_size or (1 << 62)
    stats.started = time.perf_counter()
    bar = StageBar(name, stats.expected)
    try:
        for bundle in _run(name, transforms, compute, work, target, stats):
            now = time.perf_counter()
            wall, cpu = bundle.took or (now - (stats.ended or stats.started), 0.0)
            stats.blocks.append(Made(bundle.rows, bundle.size_bytes, wall, cpu, bundle.task))
            stats.ended = now
            bar.update(bundle.rows)
            yield bundle
    finally:
        bar.close()
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
        yield from in_actors(name, transforms, compute, work, target, stats)
        return
    tolerance = Tolerance(name)
    rest: Iterator[Work] = work
    if not (
        compute.explicit or DataContext.get_current().udf_timeout_s is not None or _needs_loop(transforms)
    ):
        allowed = _HERE_SECONDS if skate.is_initialized() else _HERE_SECONDS_ALONE
        spent, done, is_quick = 0.0, 0, False
        try:
            for item in work:
                started = time.perf_counter()
                if not is_quick and (item.size_bytes > _HERE_BYTES or spent > allowed):
                    rest = _chain(item, work)
                    break
                took = 0.0
                for bundle in tolerance.results(_here(name, transforms, item, target)):
                    took += time.perf_counter() - started
                    yield bundle
                    started = time.perf_counter()
                took += time.perf_counter() - started
                spent += took
                done += item.size_bytes
                is_quick = item.size_bytes > took * _MOVED_BYTES or done > spent * _MOVED_BYTES
            else:
                return
        finally:
            for transform in transforms:
                transform.close()
    yield from _in_tasks(name, transforms, compute, rest, target, stats, tolerance)


def _needs_loop(transforms: list[Transform]) -> bool:
    """Whether a coroutine function can't run here, since this thread has an event loop under way, as notebooks do."""
    if not any(isinstance(transform, UserTransform) and transform.is_async for transform in transforms):
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _chain(first: Work, rest: Iterator[Work]) -> Iterator[Work]:
    yield first
    yield from rest


def _here(name: str, transforms: list[Transform], item: Work, target: int) -> Iterator[Bundle]:
    laps = Laps()
    try:
        for table in run_chain(transforms, item.tables()):
            for part in split_rows(table, target):
                bundle = Bundle(part, files=item.files)
                bundle.took = laps.lap()
                yield bundle
                laps.start()
    except (RayTaskError, GeneratorExit):
        raise
    except Exception as error:
        raise as_task_error(name, error) from error


def as_task_error(name: str, error: Exception) -> RayTaskError:
    """The error as it would come from a task, for work that ran in this process."""
    text = "".join(traceback.format_exception(error))
    return RayTaskError(name, text, error, pid=os.getpid()).as_instanceof_cause()


def _work_in_task(
    shared: tuple[list[Transform], DataContext], target: int, read: Callable[[], Any] | None, *tables: Any
) -> Iterator[Any]:
    """The body of a task: for each block, what is known of it and then the block."""
    transforms, context = shared
    with DataContext.current(context):
        try:
            for transform in transforms:
                transform.setup()
            source = iter(tables) if read is None else read_tables(read)
            yield from described(run_chain(transforms, source), target)
        finally:
            for transform in transforms:
                transform.close()


def _in_tasks(
    name: str,
    transforms: list[Transform],
    compute: Compute,
    work: Iterator[Work],
    target: int,
    stats: StageStats,
    tolerance: Tolerance,
) -> Iterator[Bundle]:
    if not skate.is_initialized():
        skate.init()
    options = dict(compute.options)
    at_a_time = _cpus(options)
    if at_a_time == 0:  # nor would any ever be free: those who hold the CPUs may be waiting for these tasks
        options["num_cpus"], at_a_time = 0, 1
    else:
        options.setdefault("num_cpus", 1)
    task = skate.remote(_work_in_task).options(
        name=name, num_returns="streaming", _generator_backpressure_num_objects=AHEAD, **options
    )
    shared: Any = None
    window = _Window(compute.concurrency or at_a_time + 2)
    running: deque[Running] = deque()
    exhausted = False
    try:
        while True:
            while not exhausted and len(running) < window.size:
                item = next(work, None)
                if item is None:
                    exhausted = True
                    break
                if shared is None:
                    shared = skate.put((transforms, DataContext.get_current()))
                chosen = task.options(**compute.options_fn()) if compute.options_fn else task
                stats.tasks += 1
                running.append(
                    Running(chosen.remote(shared, target, item.read, *item.refs), item, stats.tasks)
                )
            if not running:
                return
            made = 0
            for bundle in tolerance.results(results(name, running[0])):
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
    """How many tasks can run at a time; 0 if placement groups leave no CPU to tasks that have not said what they need."""
    limits = DataContext.get_current().execution_options
    there = skate.cluster_resources().get("CPU", 1.0)
    total = min(there - limits.exclude_resources.cpu, limits.resource_limits.cpu)
    if not _PLACED.isdisjoint(options):
        each = max(0.25, float(options.get("num_cpus") or 1.0))
        return max(1, int(total / each))
    if there - _reserved_cpus() < 1:
        return 0
    return max(1, int(total))


def _reserved_cpus() -> float:
    groups = placement_group_table().values()
    bundles = (
        bundle for group in groups if group["state"] == "CREATED" for bundle in group["bundles"].values()
    )
    return sum(float(bundle.get("CPU", 0.0)) for bundle in bundles)


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


__all__ = ["Work", "as_task_error", "bundle_inputs", "run_stage"]
