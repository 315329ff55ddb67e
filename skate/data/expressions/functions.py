"""What programs make expressions with: `col`, `lit`, `udf` and the like."""

from __future__ import annotations

import functools
import uuid as _uuid
from typing import TYPE_CHECKING, Any

from skate.data.expressions.sources import (
    DownloadExpr,
    MonotonicallyIncreasingIdExpr,
    RandomExpr,
    StarExpr,
    UnnestExpr,
    UUIDExpr,
)
from skate.data.expressions.tree import ColumnExpr, Expr, LiteralExpr, UDFExpr, _operand

if TYPE_CHECKING:
    from collections.abc import Callable

    from skate.data.datatype import DataType


class _Instance:
    """An instance of a class that `@udf` decorated: made where it is used first, and kept in that process."""

    _made: dict[str, Any] = {}  # noqa: RUF012 - of the process, on purpose

    def __init__(self, cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.spec = (cls, args, kwargs)
        self._key = _uuid.uuid4().hex
        self.__name__ = cls.__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._key not in self._made:
            cls, init_args, init_kwargs = self.spec
            self._made[self._key] = cls(*init_args, **init_kwargs)
        return self._made[self._key](*args, **kwargs)


class _ExpressionClass:
    """What `@udf` makes of a class: calling it gives an instance, and calling that an expression."""

    def __init__(self, cls: type, return_dtype: DataType) -> None:
        self._cls, self._return_dtype = cls, return_dtype
        functools.update_wrapper(self, cls, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Callable[..., UDFExpr]:
        return _expression_maker(_Instance(self._cls, args, kwargs), self._return_dtype)


def _expression_maker(fn: Callable[..., Any], return_dtype: DataType) -> Callable[..., UDFExpr]:
    def make(*args: Any, **kwargs: Any) -> UDFExpr:
        named = {key: _operand(value) for key, value in kwargs.items()}
        return UDFExpr(return_dtype, fn, [_operand(value) for value in args], named)

    functools.update_wrapper(make, fn, updated=())
    return make


def udf(return_dtype: DataType) -> Callable[..., Any]:
    """Make a function of whole columns usable in expressions.

    Args:
        return_dtype: The type of what it returns.

    Example:
        >>> import pyarrow.compute as pc, skate.data
        >>> from skate.data.datatype import DataType
        >>> from skate.data.expressions import col, udf
        >>> @udf(return_dtype=DataType.int64())
        ... def add_one(x):
        ...     return pc.add(x, 1)
        >>> skate.data.range(2).with_column("y", add_one(col("id"))).take_all()
        [{'id': 0, 'y': 1}, {'id': 1, 'y': 2}]
    """

    def decorate(fn: Any) -> Any:
        if isinstance(fn, type):
            return _ExpressionClass(fn, return_dtype)
        return _expression_maker(fn, return_dtype)

    return decorate


def pyarrow_udf(return_dtype: DataType) -> Callable[..., Any]:
    """The same as `udf`: columns are Arrow's in any case."""
    return udf(return_dtype)


def col(name: str) -> ColumnExpr:
    """A column, by name.

    Example:
        >>> import skate.data
        >>> from skate.data.expressions import col
        >>> skate.data.range(3).filter(expr=col("id") > 1).take_all()
        [{'id': 2}]
    """
    return ColumnExpr(name)


def lit(value: Any) -> LiteralExpr:
    """A constant."""
    return LiteralExpr(value)


def star() -> StarExpr:
    """All columns."""
    return StarExpr()


def unnest(expr: Expr) -> UnnestExpr:
    """The fields of a struct, as columns."""
    return UnnestExpr(expr)


def download(uri_column_name: str, *, filesystem: Any = None) -> DownloadExpr:
    """The bytes of the files whose addresses are in a column; null where reading fails.

    Args:
        uri_column_name: The column.
        filesystem: Where to read; default: by the address.
    """
    return DownloadExpr(uri_column_name, filesystem)


def random(*, seed: int | None = None, reseed_after_execution: bool = True) -> RandomExpr:
    """Random numbers from 0 up to 1.

    Args:
        seed: Makes them the same each time.
        reseed_after_execution: Whether each execution gets others, from a seed derived from `seed`.
    """
    return RandomExpr(seed, reseed_after_execution)


def uuid() -> UUIDExpr:
    """A random identifier in each row."""
    return UUIDExpr()


def monotonically_increasing_id() -> MonotonicallyIncreasingIdExpr:
    """A number in each row that increases along the dataset."""
    return MonotonicallyIncreasingIdExpr()


__all__ = [
    "col",
    "download",
    "lit",
    "monotonically_increasing_id",
    "pyarrow_udf",
    "random",
    "star",
    "udf",
    "unnest",
    "uuid",
]
