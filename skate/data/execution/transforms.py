"""Users' functions over streams of Arrow tables. Stages chain these inside one task or actor."""

from __future__ import annotations

import collections.abc
import inspect
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from skate.data import convert
from skate.data.execution.udf import Transform, UserTransform, guard, user_error
from skate.data.plan import evaluate

if TYPE_CHECKING:
    from skate.data.expressions import Expr

_FIRST_ROWS = 64  # by which the size of the others is judged
_MOST_ROWS = 4096  # that are dicts at a time: few enough to stay in the processor's cache


def _rows(tables: Iterable[pa.Table]) -> Iterator[dict[str, Any]]:
    return itertools.chain.from_iterable(
        convert.iter_rows(table.slice(start, _MOST_ROWS))
        for table in tables
        for start in range(0, table.num_rows, _MOST_ROWS)
    )


def _blocks(take: Callable[[int], Sequence[Any]], target_bytes: int) -> Iterator[pa.Table]:
    """Rows as tables of about the target size, as far as the last ones tell the size of a row.

    Args:
        take: Gives so many more rows, or as many as there are; none at the end.
        target_bytes: The size.
    """
    held: list[pa.Table] = []
    size, count = 0, _FIRST_ROWS
    while rows := take(count):
        table = convert.table_from_rows(rows)
        held.append(table)
        size += table.nbytes
        if size >= target_bytes:
            yield convert.concat(held).combine_chunks()
            held, size = [], 0
        count = max(1, min(_MOST_ROWS, target_bytes * table.num_rows // max(1, table.nbytes)))
    if held:
        yield convert.concat(held).combine_chunks()


@dataclass
class MapRowsTransform(UserTransform):
    """A row for each row."""

    target_bytes: int = 2**27

    def __call__(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The tables after this step."""
        results = self.lists(_rows(tables), "row")

        def rows(count: int) -> list[Any]:
            found = results(count)
            for kind in set(map(type, found)):
                if not issubclass(kind, collections.abc.Mapping):
                    row = next(row for row in found if type(row) is kind)
                    raise ValueError(
                        f"Error validating {convert._shown(row)}: Standalone Python objects are not allowed in "
                        f"Skate, as in Ray. To return Python objects from {self.name}, wrap them in a dict, e.g., "
                        f"return `{{'item': item}}` instead of just `item`."
                    )
            return found

        return _blocks(rows, self.target_bytes)


@dataclass
class FlatMapTransform(UserTransform):
    """Any number of rows for each row."""

    target_bytes: int = 2**27

    def __call__(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The tables after this step."""
        rows = self._checked(tables)
        return _blocks(lambda count: list(itertools.islice(rows, count)), self.target_bytes)

    def _checked(self, tables: Iterator[pa.Table]) -> Iterator[Any]:
        for rows in self.results(guard(_rows(tables)), "row"):
            if not isinstance(rows, collections.abc.Iterable) or isinstance(rows, (str, bytes)):
                raise TypeError(
                    f"{self.name} returned {convert._shown(rows)} of type {type(rows)}: the function given to "
                    "flat_map must return a list of dicts."
                )
            for row in [rows] if isinstance(rows, collections.abc.Mapping) else rows:
                if not isinstance(row, collections.abc.Mapping):
                    raise ValueError(
                        f"Error validating {convert._shown(row)}: {self.name} must return a list of dicts. "
                        "Wrap each item: `{'item': item}`."
                    )
                yield row


@dataclass
class FilterRowsTransform(UserTransform):
    """The rows for which the function is true."""

    def __call__(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The tables after this step."""
        for table in tables:
            mask = np.fromiter(map(bool, self._verdicts(table)), dtype=bool, count=table.num_rows)
            yield table if mask.all() else table.filter(pa.array(mask))

    def _verdicts(self, table: pa.Table) -> Iterator[Any]:
        take = self.lists(_rows([table]), "row")
        while found := take(_MOST_ROWS):
            yield from found


@dataclass
class MapBatchesTransform(UserTransform):
    """Batches for each batch."""

    batch_size: int | None = None
    batch_format: str = "numpy"
    zero_copy: bool = True

    def __call__(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The tables after this step."""
        empty: list[pa.Table] = []  # a function is not asked about no rows; their columns are passed on
        arguments = (
            convert.table_to_batch(table, self.batch_format, copy=not self.zero_copy)
            for table in guard(_without_empty(rebatch(tables, self.batch_size), empty))
        )
        called = False
        for result in self.results(arguments, "batch"):
            called = True
            if inspect.isgenerator(result):
                try:
                    parts = iter(result)
                    for part in parts:
                        yield convert.table_from_batch(part)
                except (GeneratorExit, ValueError):
                    raise
                except Exception as error:
                    raise user_error(error, self.name, "in the generator that it returned") from error
            else:
                yield convert.table_from_batch(result)
        if not called and empty:
            yield empty[0]


def _without_empty(tables: Iterator[pa.Table], empty: list[pa.Table]) -> Iterator[pa.Table]:
    for table in tables:
        if table.num_rows:
            yield table
        elif table.num_columns and not empty:
            empty.append(table)


@dataclass
class ProjectTransform(Transform):
    """Columns computed from columns."""

    exprs: tuple[Expr, ...] = ()

    def __call__(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The tables after this step."""
        first = 0
        for table in tables:
            if table.num_columns == 0 and table.num_rows == 0:
                continue
            try:
                yield evaluate.project(self.exprs, table, first)
            except Exception as error:
                raise user_error(error, self.name, "while its expressions were computed") from error
            first += table.num_rows


@dataclass
class FilterTransform(Transform):
    """The rows for which an expression is true."""

    predicate: Expr | None = None

    def __call__(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The tables after this step."""
        first = 0
        for table in tables:
            if self.predicate is None or (table.num_columns == 0 and table.num_rows == 0):
                yield table
                continue
            try:
                yield evaluate.keep(self.predicate, table, first)
            except Exception as error:
                raise user_error(error, self.name, "while its expression was computed") from error
            first += table.num_rows


@dataclass
class SampleTransform(Transform):
    """Each row with a probability. A seed gives the same rows of the same blocks again."""

    fraction: float = 1.0
    seed: int | None = None

    def __call__(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The tables after this step."""
        for table in tables:
            rng = np.random.default_rng(None if self.seed is None else [self.seed, _fingerprint(table)])
            yield table.filter(pa.array(rng.random(table.num_rows) < self.fraction))


def _fingerprint(table: pa.Table) -> int:
    """A number that differs between blocks, so that one seed does not choose the same places in each."""
    head = table.slice(0, 8)
    text = "\n".join(str(column.to_pylist()) for column in head.columns)
    return zlib.crc32(f"{table.num_rows}\n{text}".encode())


def rebatch(tables: Iterator[pa.Table], batch_size: int | None) -> Iterator[pa.Table]:
    """The rows in tables of exactly this many rows, but for the last; unchanged for None."""
    if batch_size is None:
        yield from tables
        return
    held: list[pa.Table] = []
    rows = 0
    for table in tables:
        if table.num_rows == 0:
            if not held and table.num_columns:
                held = [table]
            continue
        held.append(table)
        rows += table.num_rows
        if rows < batch_size:
            continue
        whole = convert.concat(held)
        start = 0
        while rows - start >= batch_size:
            yield whole.slice(start, batch_size)
            start += batch_size
        held = [whole.slice(start)] if rows > start else []
        rows -= start
    if rows or held:
        yield convert.concat(held)


def run_chain(transforms: Iterable[Transform], tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The tables after all steps."""
    for transform in transforms:
        tables = transform(tables)
    return tables


__all__ = [
    "FilterRowsTransform",
    "FilterTransform",
    "FlatMapTransform",
    "MapBatchesTransform",
    "MapRowsTransform",
    "ProjectTransform",
    "SampleTransform",
    "rebatch",
    "run_chain",
]
