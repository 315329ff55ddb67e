"""Users' functions over streams of Arrow tables. Stages chain these inside one task or actor."""

from __future__ import annotations

import asyncio
import collections.abc
import inspect
import traceback
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from skate.data import convert
from skate.data.plan import evaluate
from skate.data.plan.logical import Function
from skate.exceptions import UserCodeException

if TYPE_CHECKING:
    from skate.data.expressions import Expr

_ROWS_A_BLOCK = 65_536
_ASYNC_AT_A_TIME = 16


@dataclass
class Transform:
    """A step of a stage: tables in, tables out. It is pickled to where it runs, and set up there once.

    Attributes:
        name: The operator's, for errors.
    """

    name: str

    def setup(self) -> None:
        """Prepare in the process where it runs."""

    def __call__(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The tables after this step."""
        raise NotImplementedError


@dataclass
class UserTransform(Transform):
    """A step that calls a user's function."""

    function: Function = field(default_factory=lambda: Function(None))
    _call: Callable[..., Any] | None = None

    def setup(self) -> None:
        """Make the instance, if the function is a class."""
        fn = self.function.fn
        if isinstance(fn, type):
            try:
                fn = fn(*self.function.init_args, **dict(self.function.init_kwargs))
            except Exception as error:
                raise user_error(error, self.name, "while its class was instantiated") from error
        self._call = fn

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_call": None}

    @property
    def call(self) -> Callable[..., Any]:
        """The function of one argument."""
        if self._call is None:
            self.setup()
        fn, args, kwargs = self._call, self.function.args, dict(self.function.kwargs)
        if fn is None:
            raise TypeError(f"{self.name}: there is no function to call.")
        if not args and not kwargs:
            return fn
        return lambda item: fn(item, *args, **kwargs)

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function, or an asynchronous generator."""
        target = self._call if self._call is not None else self.function.fn
        for candidate in (target, getattr(target, "__call__", None)):  # noqa: B004 - its code is looked at
            if inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate):
                return True
        return False

    def results(self, items: Iterable[Any], what: str) -> Iterator[Any]:
        """The function's result for each item, in order; errors say which item."""
        call = self.call
        if self.is_async:
            yield from _run_async(call, items, self.name, what)
            return
        position = 0
        try:
            for item in items:
                yield call(item)
                position += 1
        except GeneratorExit:
            raise
        except _Upstream as error:
            raise error.cause from error.cause.__cause__
        except Exception as error:
            raise user_error(error, self.name, f"on {what} {position} of its input") from error


class _Upstream(Exception):
    """An error of the step before, which must not be taken for one of this step's function."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(cause)
        self.cause = cause


def _guard(items: Iterable[Any]) -> Iterator[Any]:
    try:
        yield from items
    except _Upstream:
        raise
    except Exception as error:
        raise _Upstream(error) from error


def _run_async(call: Callable[..., Any], items: Iterable[Any], name: str, what: str) -> Iterator[Any]:
    """Results of a coroutine function, some of them computed at the same time, in the order of the items."""

    async def one(item: Any) -> list[Any]:
        result = call(item)
        if isinstance(result, AsyncIterator):
            return [part async for part in result]
        return [await result]

    async def several(batch: list[Any]) -> list[Any]:
        return list(await asyncio.gather(*(one(item) for item in batch), return_exceptions=True))

    loop = asyncio.new_event_loop()
    position = 0
    try:
        batch: list[Any] = []
        for item in items:
            batch.append(item)
            if len(batch) == _ASYNC_AT_A_TIME:
                for result in loop.run_until_complete(several(batch)):
                    yield from _async_result(result, name, what, position)
                    position += 1
                batch = []
        for result in loop.run_until_complete(several(batch)) if batch else ():
            yield from _async_result(result, name, what, position)
            position += 1
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _async_result(result: Any, name: str, what: str, position: int) -> list[Any]:
    if isinstance(result, Exception):
        raise user_error(result, name, f"on {what} {position} of its input") from result
    if isinstance(result, BaseException):
        raise result
    return list(result)


def user_error(error: Exception, name: str, where: str) -> Exception:
    """What is raised in place of an error of a user's function: it names the function's line."""
    from skate.data.context import DataContext

    if isinstance(error, UserCodeException) or DataContext.get_current().raise_original_map_exception:
        return error
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/skate/data/" not in f.filename.replace("\\", "/")]
    at = f" at {own[-1].filename}:{own[-1].lineno}, in {own[-1].name}" if own else ""
    return UserCodeException(f"{name} raised {type(error).__name__}: {error}{at}, {where}.")


def _rows(tables: Iterable[pa.Table]) -> Iterator[dict[str, Any]]:
    for table in tables:
        yield from convert.iter_rows(table)


def _blocks(rows: Iterator[Any], target_bytes: int) -> Iterator[pa.Table]:
    """Rows as tables, of the target size at most, as far as the last table tells the size of a row."""
    limit = _ROWS_A_BLOCK
    probe: list[Any] = []
    for row in rows:
        probe.append(row)
        if len(probe) >= limit:
            table = convert.table_from_rows(probe)
            limit = max(1, min(1_000_000, int(target_bytes * limit / max(1, table.nbytes))))
            yield table
            probe = []
        elif len(probe) == 64 and limit == _ROWS_A_BLOCK:
            size = max(1, convert.table_from_rows(probe).nbytes)
            limit = max(64, min(_ROWS_A_BLOCK, int(64 * target_bytes / size)))
    if probe:
        yield convert.table_from_rows(probe)


@dataclass
class MapRowsTransform(UserTransform):
    """A row for each row."""

    target_bytes: int = 2**27

    def __call__(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The tables after this step."""
        return _blocks(self._checked(tables), self.target_bytes)

    def _checked(self, tables: Iterator[pa.Table]) -> Iterator[Any]:
        for row in self.results(_guard(_rows(tables)), "row"):
            if not isinstance(row, (dict, collections.abc.Mapping)):
                raise ValueError(
                    f"Error validating {convert._shown(row)}: Standalone Python objects are not allowed in "
                    f"Skate, as in Ray. To return Python objects from {self.name}, wrap them in a dict, e.g., "
                    f"return `{{'item': item}}` instead of just `item`."
                )
            yield row


@dataclass
class FlatMapTransform(MapRowsTransform):
    """Any number of rows for each row."""

    def _checked(self, tables: Iterator[pa.Table]) -> Iterator[Any]:
        for rows in self.results(_guard(_rows(tables)), "row"):
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
        if self.is_async:
            for table in _guard(tables):
                kept = [bool(keep) for keep in self.results(convert.iter_rows(table), "row")]
                yield table.filter(pa.array(kept, pa.bool_()))
            return
        for table in tables:
            verdicts = self.results(convert.iter_rows(table), "row")
            mask = np.fromiter((bool(keep) for keep in verdicts), dtype=bool, count=table.num_rows)
            yield table if mask.all() else table.filter(pa.array(mask))


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
            for table in _guard(_without_empty(rebatch(tables, self.batch_size), empty))
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
    "Transform",
    "UserTransform",
    "rebatch",
    "run_chain",
    "user_error",
]
