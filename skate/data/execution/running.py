"""Tasks of a stage that are under way: their results in order, and the blocks that may fail."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import skate
from skate.data.context import DataContext
from skate.data.exceptions import ExecutionTimeoutError
from skate.data.execution.bundle import Bundle, compact, split_rows
from skate.data.execution.stage_stats import Laps
from skate.exceptions import RayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa

_log = logging.getLogger("skate.data")
_PATIENCE_S = 5.0  # a wait that is cut so is not spoken of as one that lasts: a block may take long
_LOOK_S = 0.05  # seconds between two looks at the other tasks, while the first in order is waited for


@dataclass
class Work:
    """One input of a stage: a block, or a task that reads.

    Attributes:
        bundle: The block.
        read: A callable that gives tables, as read tasks are.
        size_bytes: About its size.
        files: The files that it reads.
        more: Further blocks.
    """

    bundle: Bundle | None = None
    read: Callable[[], Any] | None = None
    size_bytes: int = 0
    files: tuple[str, ...] = ()
    more: tuple[Bundle, ...] = ()

    def tables(self) -> Iterator[pa.Table]:
        """Its tables, here."""
        if self.read is not None:
            yield from read_tables(self.read)
        elif self.bundle is not None:
            yield self.bundle.table
            for bundle in self.more:
                yield bundle.table

    @property
    def refs(self) -> list[Any]:
        """Its blocks in the object store."""
        return [] if self.bundle is None else [bundle.ref for bundle in (self.bundle, *self.more)]


def read_tables(read: Callable[[], Any]) -> Iterator[pa.Table]:
    """What a read task gives, as tables."""
    import pyarrow as pa

    from skate.data import convert

    for block in read():
        yield block if isinstance(block, pa.Table) else convert.table_from_batch(block)


def described(tables: Iterator[pa.Table], target: int) -> Iterator[Any]:
    """What a task gives for tables: for each block of about this size at most, what is known of it, and then the block."""
    laps = Laps()
    for table in tables:
        for part in split_rows(table, target):
            yield part.num_rows, part.nbytes, part.schema, laps.lap()
            yield compact(part)
            laps.start()


@dataclass
class Running:
    """A task under way.

    Attributes:
        items: The generator of its refs: for each block what is known of it, and then the block.
        work: Its input.
        number: Which task of the stage it is.
    """

    items: Any
    work: Work
    number: int = 0


@dataclass
class Tolerance:
    """The blocks that may fail, as `DataContext.max_errored_blocks` says.

    Attributes:
        name: The stage's, for warnings.
        most: How many; any number if negative.
        failed: How many did.
    """

    name: str
    most: int = field(default_factory=lambda: DataContext.get_current().max_errored_blocks)
    failed: int = 0

    def results(self, bundles: Iterator[Bundle]) -> Iterator[Bundle]:
        """The blocks of one input; none of them if one fails and may."""
        if self.most == 0:
            yield from bundles
            return
        try:
            whole = list(bundles)
        except (RayError, OSError) as error:
            if 0 <= self.most <= self.failed:
                raise
            self.failed += 1
            left = "any number" if self.most < 0 else str(self.most - self.failed)
            _log.warning(
                "%s: a block is left out (%s more may be, by max_errored_blocks): %s",
                self.name,
                left,
                str(error).strip().rpartition("\n")[2],
            )
            return
        yield from whole


def results(name: str, running: Running, meanwhile: Callable[[], None] | None = None) -> Iterator[Bundle]:
    """The blocks of a task, while it runs.

    Args:
        name: The stage's, for errors.
        running: The task.
        meanwhile: Called now and then while nothing has come.

    Raises:
        ExecutionTimeoutError: nothing came for `DataContext.execution_no_progress_timeout_s`.
    """
    limit = DataContext.get_current().execution_no_progress_timeout_s
    while True:
        _await(name, running.items, limit, meanwhile)
        known = next(running.items, None)
        if known is None:
            return
        rows, size, schema, took = skate.get(known)
        _await(name, running.items, limit, meanwhile)
        block = next(running.items)
        bundle = Bundle(None, block, rows=rows, size_bytes=size, schema=schema, files=running.work.files)
        bundle.took, bundle.task = took, running.number
        yield bundle


def _has_news(items: Any) -> bool:
    return bool(items.is_finished() or items.next_ready())


def _await(name: str, items: Any, limit: float, meanwhile: Callable[[], None] | None) -> None:
    if _has_news(items):
        return
    started = time.monotonic()
    while not _has_news(items):
        left = limit - (time.monotonic() - started) if limit >= 0 else float("inf")
        if left <= 0:
            raise ExecutionTimeoutError(
                f"{name} made no block for {limit} s, which is DataContext.execution_no_progress_timeout_s: raise it if the work "
                "may take as long, or look at what its function waits for (skate stack)."
            )
        if meanwhile is not None:
            meanwhile()
            left = min(left, _LOOK_S)
        skate.wait([items], timeout=min(left, _PATIENCE_S))


__all__ = ["Running", "Tolerance", "Work", "described", "read_tables", "results"]
