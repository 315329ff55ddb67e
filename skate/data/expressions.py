"""Expressions over columns: `col("x") + 1`, `col("name").str.upper()`, `lit(0)`.

An expression is a small immutable tree. `skate.data.plan.evaluate` computes one over an Arrow table, and
`skate.data.plan.translate` gives those that it can to the native engine.
"""

from __future__ import annotations

import enum
import functools
import uuid as _uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from skate.data.datatype import DataType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from skate.data.expression_namespaces import (
        _ArrayNamespace,
        _DatetimeNamespace,
        _ListNamespace,
        _MapNamespace,
        _StringNamespace,
        _StructNamespace,
    )

BatchColumn = Any


class Operation(str, enum.Enum):  # noqa: UP042 - prints as Ray's does
    """What a binary or unary expression does."""

    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    MOD = "mod"
    FLOORDIV = "floordiv"
    GT = "gt"
    LT = "lt"
    GE = "ge"
    LE = "le"
    EQ = "eq"
    NE = "ne"
    AND = "and"
    OR = "or"
    NOT = "not"
    IS_NULL = "is_null"
    IS_NOT_NULL = "is_not_null"
    IN = "in"
    NOT_IN = "not_in"


_SIGNS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%", "floordiv": "//", "gt": ">", "lt": "<",
    "ge": ">=", "le": "<=", "eq": "==", "ne": "!=", "and": "&", "or": "|", "in": "in", "not_in": "not in",
}  # fmt: skip


def _operand(value: Any) -> Expr:
    return value if isinstance(value, Expr) else LiteralExpr(value)


@dataclass(frozen=True, eq=False, repr=False)
class Expr:
    """A computation over the columns of a dataset.

    Operators (`+ - * / // % == != < <= > >= & | ~`) make larger expressions; `str`, `list`, `dt`, `struct`, `arr`
    and `map` hold what is special to a kind of column. Comparisons with null give null.
    """

    data_type: DataType

    @property
    def name(self) -> str | None:
        """The column's name, where the expression has one."""
        return None

    def children(self) -> list[Expr]:
        """The expressions that this one is made from."""
        return []

    def structurally_equals(self, other: Any) -> bool:
        """Whether `other` is the same tree; `==` makes an expression."""
        if type(other) is not type(self):
            return False
        mine, theirs = self.children(), other.children()
        return (
            len(mine) == len(theirs)
            and self._key() == other._key()
            and all(a.structurally_equals(b) for a, b in zip(mine, theirs, strict=True))
        )

    def _key(self) -> Any:
        """What distinguishes two nodes of one type, besides their children."""
        return None

    def to_pyarrow(self) -> Any:
        """The expression as Arrow's own, for filters of Arrow datasets.

        Raises:
            TypeError: it has a part that Arrow's expressions lack, such as a function of the user.
        """
        from skate.data.plan.evaluate import to_pyarrow_expression

        return to_pyarrow_expression(self)

    def get_type(self, input_schema: pa.Schema) -> pa.DataType | None:
        """The type of the result over such columns; None if it can't be told."""
        from skate.data.plan.evaluate import result_type

        return result_type(self, input_schema)

    def nullable(self, input_schema: pa.Schema) -> bool:
        """Whether a result may be null."""
        return True

    def to_field(self, input_schema: pa.Schema) -> pa.Field | None:
        """Name and type of the result; None without either."""
        kind = self.get_type(input_schema)
        return pa.field(self.name, kind) if self.name is not None and kind is not None else None

    def is_idempotent(self) -> bool:
        """Whether computing it twice gives the same result."""
        return all(child.is_idempotent() for child in self.children())

    def expand_projection(self, input_schema: pa.Schema | None) -> list[Expr]:
        """The columns that it stands for in a projection: itself, except for `star()` and `unnest()`."""
        return [self]

    def _binary(self, other: Any, op: Operation) -> BinaryExpr:
        return BinaryExpr(op, self, _operand(other))

    def __add__(self, other: Any) -> Expr:
        return self._binary(other, Operation.ADD)

    def __radd__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.ADD, _operand(other), self)

    def __sub__(self, other: Any) -> Expr:
        return self._binary(other, Operation.SUB)

    def __rsub__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.SUB, _operand(other), self)

    def __mul__(self, other: Any) -> Expr:
        return self._binary(other, Operation.MUL)

    def __rmul__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.MUL, _operand(other), self)

    def __truediv__(self, other: Any) -> Expr:
        return self._binary(other, Operation.DIV)

    def __rtruediv__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.DIV, _operand(other), self)

    def __floordiv__(self, other: Any) -> Expr:
        return self._binary(other, Operation.FLOORDIV)

    def __rfloordiv__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.FLOORDIV, _operand(other), self)

    def __mod__(self, other: Any) -> Expr:
        return self._binary(other, Operation.MOD)

    def __rmod__(self, other: Any) -> Expr:
        return BinaryExpr(Operation.MOD, _operand(other), self)

    def __gt__(self, other: Any) -> Expr:
        return self._binary(other, Operation.GT)

    def __lt__(self, other: Any) -> Expr:
        return self._binary(other, Operation.LT)

    def __ge__(self, other: Any) -> Expr:
        return self._binary(other, Operation.GE)

    def __le__(self, other: Any) -> Expr:
        return self._binary(other, Operation.LE)

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return self._binary(other, Operation.EQ)

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return self._binary(other, Operation.NE)

    def __and__(self, other: Any) -> Expr:
        return self._binary(other, Operation.AND)

    def __or__(self, other: Any) -> Expr:
        return self._binary(other, Operation.OR)

    def __invert__(self) -> Expr:
        return UnaryExpr(Operation.NOT, self)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise TypeError(
            "An expression has no truth value before it is computed: combine with & | ~ instead of and, or, not."
        )

    def is_null(self) -> Expr:
        """Whether it is null."""
        return UnaryExpr(Operation.IS_NULL, self)

    def is_not_null(self) -> Expr:
        """Whether it is not null."""
        return UnaryExpr(Operation.IS_NOT_NULL, self)

    def is_in(self, values: list[Any] | Expr) -> Expr:
        """Whether it is one of these values."""
        return self._binary(values, Operation.IN)

    def not_in(self, values: list[Any] | Expr) -> Expr:
        """Whether it is none of these values."""
        return self._binary(values, Operation.NOT_IN)

    def alias(self, name: str) -> Expr:
        """The same under another name."""
        return AliasExpr(self.data_type, self, name, _is_rename=False)

    def _compute(self, function: str, kind: DataType | None = None, **options: Any) -> UDFExpr:
        return arrow_function(function, self, kind=kind, **options)

    def abs(self) -> UDFExpr:
        """The absolute value."""
        return self._compute("abs_checked", self.data_type)

    def negate(self) -> UDFExpr:
        """The negative."""
        return self._compute("negate_checked", self.data_type)

    def sign(self) -> UDFExpr:
        """-1, 0 or 1."""
        return self._compute("sign")

    def power(self, exponent: Any) -> UDFExpr:
        """To the power of `exponent`."""
        return UDFExpr(self.data_type, functools.partial(_call, "power"), [self, _operand(exponent)], {})

    def ceil(self) -> UDFExpr:
        """Rounded up."""
        return self._compute("ceil")

    def floor(self) -> UDFExpr:
        """Rounded down."""
        return self._compute("floor")

    def round(self) -> UDFExpr:
        """Rounded to the nearest whole number, halves to the even one."""
        return self._compute("round")

    def trunc(self) -> UDFExpr:
        """Rounded towards zero."""
        return self._compute("trunc")

    def ln(self) -> UDFExpr:
        """The natural logarithm."""
        return self._compute("ln", DataType.float64())

    def log10(self) -> UDFExpr:
        """The logarithm to base 10."""
        return self._compute("log10", DataType.float64())

    def log2(self) -> UDFExpr:
        """The logarithm to base 2."""
        return self._compute("log2", DataType.float64())

    def exp(self) -> UDFExpr:
        """The exponential."""
        return self._compute("exp", DataType.float64())

    def sin(self) -> UDFExpr:
        """The sine."""
        return self._compute("sin", DataType.float64())

    def cos(self) -> UDFExpr:
        """The cosine."""
        return self._compute("cos", DataType.float64())

    def tan(self) -> UDFExpr:
        """The tangent."""
        return self._compute("tan", DataType.float64())

    def asin(self) -> UDFExpr:
        """The arc sine."""
        return self._compute("asin", DataType.float64())

    def acos(self) -> UDFExpr:
        """The arc cosine."""
        return self._compute("acos", DataType.float64())

    def atan(self) -> UDFExpr:
        """The arc tangent."""
        return self._compute("atan", DataType.float64())

    def cast(self, target_type: DataType, *, safe: bool = True) -> UDFExpr:
        """As another type.

        Args:
            target_type: The type.
            safe: Raise when a value does not fit.

        Raises:
            TypeError: `target_type` is no DataType.
        """
        if not isinstance(target_type, DataType):
            raise TypeError(f"target_type must be a DataType, got: {type(target_type).__name__}.")
        return UDFExpr(target_type, functools.partial(_cast, target_type.to_arrow_dtype(), safe), [self], {})

    @property
    def str(self) -> _StringNamespace:
        """Functions of text."""
        from skate.data.expression_namespaces import _StringNamespace

        return _StringNamespace(self)

    @property
    def list(self) -> _ListNamespace:
        """Functions of lists."""
        from skate.data.expression_namespaces import _ListNamespace

        return _ListNamespace(self)

    @property
    def dt(self) -> _DatetimeNamespace:
        """Functions of dates and times."""
        from skate.data.expression_namespaces import _DatetimeNamespace

        return _DatetimeNamespace(self)

    @property
    def struct(self) -> _StructNamespace:
        """Functions of structs."""
        from skate.data.expression_namespaces import _StructNamespace

        return _StructNamespace(self)

    @property
    def arr(self) -> _ArrayNamespace:
        """Functions of tensors and fixed-size lists."""
        from skate.data.expression_namespaces import _ArrayNamespace

        return _ArrayNamespace(self)

    @property
    def map(self) -> _MapNamespace:
        """Functions of maps."""
        from skate.data.expression_namespaces import _MapNamespace

        return _MapNamespace(self)

    def _label(self) -> Any:
        return type(self).__name__

    def _named_children(self) -> Any:
        return [(f"arg[{i}]", child) for i, child in enumerate(self.children())]

    def __repr__(self) -> Any:
        return "\n".join(_tree(self))

    def inline(self) -> Any:
        """The expression in one line, as in the name of a filter."""
        return self._label()


def _tree(expr: Expr) -> Iterator[str]:
    yield expr._label()
    children = expr._named_children()
    for index, (name, child) in enumerate(children):
        last = index == len(children) - 1
        lines = list(_tree(child))
        yield f"    {'└' if last else '├'}── {name}: {lines[0]}"
        for line in lines[1:]:
            yield f"    {' ' if last else '│'}   {line[4:]}"


@dataclass(frozen=True, eq=False, repr=False)
class ColumnExpr(Expr):
    """A column of the dataset. `col(name)` makes one."""

    data_type: DataType = field(default_factory=lambda: DataType(object), init=False)
    _name: str

    @property
    def name(self) -> str:
        """The column's name."""
        return self._name

    def _key(self) -> Any:
        return self._name

    def _label(self) -> Any:
        return f"COL({self._name!r})"

    def inline(self) -> Any:
        """`col('x')`."""
        return f"col({self._name!r})"

    def _rename(self, name: str) -> AliasExpr:
        return AliasExpr(self.data_type, self, name, _is_rename=True)


@dataclass(frozen=True, eq=False, repr=False)
class LiteralExpr(Expr):
    """A constant. `lit(value)` makes one."""

    value: Any
    data_type: DataType = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "data_type", DataType.infer_dtype(self.value))

    def nullable(self, input_schema: pa.Schema) -> bool:
        """Whether the value is None."""
        return self.value is None

    def structurally_equals(self, other: Any) -> bool:
        """Whether `other` is a constant of the same type and value."""
        return (
            isinstance(other, LiteralExpr)
            and type(self.value) is type(other.value)
            and bool(self.value == other.value)
        )

    def _label(self) -> Any:
        return f"LIT({self.value!r})"

    def inline(self) -> Any:
        """The value."""
        return repr(self.value)


@dataclass(frozen=True, eq=False, repr=False)
class BinaryExpr(Expr):
    """An operation on two expressions."""

    data_type: DataType = field(default_factory=lambda: DataType(object), init=False)
    op: Operation
    left: Expr
    right: Expr

    def children(self) -> list[Expr]:
        """The two operands."""
        return [self.left, self.right]

    def _key(self) -> Any:
        return self.op

    def _label(self) -> Any:
        return self.op.name

    def _named_children(self) -> Any:
        return [("left", self.left), ("right", self.right)]

    def inline(self) -> Any:
        """`left op right`."""
        sides = [f"({s.inline()})" if isinstance(s, BinaryExpr) else s.inline() for s in self.children()]
        return f"{sides[0]} {_SIGNS[self.op.value]} {sides[1]}"


@dataclass(frozen=True, eq=False, repr=False)
class UnaryExpr(Expr):
    """An operation on one expression."""

    data_type: DataType = field(default_factory=DataType.bool, init=False)  # type: ignore[attr-defined]
    op: Operation
    operand: Expr

    def children(self) -> list[Expr]:
        """The operand."""
        return [self.operand]

    def _key(self) -> Any:
        return self.op

    def _label(self) -> Any:
        return self.op.name

    def _named_children(self) -> Any:
        return [("operand", self.operand)]

    def inline(self) -> Any:
        """`~x` or `x.is_null()`."""
        inner = self.operand.inline()
        return f"~({inner})" if self.op is Operation.NOT else f"{inner}.{self.op.value}()"


@dataclass(frozen=True, eq=False, repr=False)
class UDFExpr(Expr):
    """A function of whole columns: Arrow's, or one that `@udf` made of the user's.

    Attributes:
        fn: Takes Arrow columns, and plain values for constants; returns a column.
        args: Its arguments.
        kwargs: Its arguments by name.
    """

    fn: Callable[..., Any]
    args: Any
    kwargs: Any

    @property
    def callable_class_spec(self) -> Any:
        """How the instance behind `fn` is made, if it is an instance of a class that `@udf` decorated."""
        return getattr(self.fn, "spec", None)

    def children(self) -> Any:
        """The arguments."""
        return [*self.args, *self.kwargs.values()]

    def _key(self) -> Any:
        fn = self.fn
        identity = (fn.func, fn.args, tuple(sorted(fn.keywords))) if isinstance(fn, functools.partial) else fn
        return (identity, len(self.args), tuple(self.kwargs))

    def _label(self) -> Any:
        return f"UDF({getattr(self.fn, '__name__', 'udf')})"

    def inline(self) -> Any:
        """`udf(arguments)`."""
        return f"{getattr(self.fn, '__name__', 'udf')}({', '.join(c.inline() for c in self.children())})"


@dataclass(frozen=True, eq=False, repr=False)
class AliasExpr(Expr):
    """An expression under another name."""

    expr: Expr
    _name: str
    _is_rename: bool

    @property
    def name(self) -> str:
        """The name."""
        return self._name

    def children(self) -> Any:
        """The expression."""
        return [self.expr]

    def _key(self) -> Any:
        return (self._name, self._is_rename)

    def alias(self, name: Any) -> Expr:
        """The same under another name."""
        return AliasExpr(self.data_type, self.expr, name, _is_rename=self._is_rename)

    def _label(self) -> Any:
        return f"ALIAS({self._name!r})"

    def inline(self) -> Any:
        """`expr.alias('name')`."""
        return f"{self.expr.inline()}.alias({self._name!r})"


@dataclass(frozen=True, eq=False, repr=False)
class StarExpr(Expr):
    """All columns."""

    data_type: DataType = field(default_factory=lambda: DataType(object), init=False)

    def expand_projection(self, input_schema: pa.Schema | None) -> Any:
        """Each of the columns."""
        return [self] if input_schema is None else [ColumnExpr(name) for name in input_schema.names]

    def _label(self) -> Any:
        return "COL(*)"


@dataclass(frozen=True, eq=False, repr=False)
class UnnestExpr(Expr):
    """The fields of a struct, as columns."""

    data_type: DataType = field(default_factory=lambda: DataType(object), init=False)
    expr: Expr

    def children(self) -> Any:
        """The struct."""
        return [self.expr]

    def expand_projection(self, input_schema: pa.Schema | None) -> Any:
        """Each of the fields, if the schema tells them."""
        kind = None if input_schema is None else self.expr.get_type(input_schema)
        if kind is None or not pa.types.is_struct(kind):
            return [self]
        names = [kind.field(index).name for index in range(kind.num_fields)]
        return [self.expr.struct.field(name).alias(name) for name in names]

    def _label(self) -> Any:
        return "UNNEST"


@dataclass(frozen=True, eq=False, repr=False)
class DownloadExpr(Expr):
    """The bytes behind the addresses in a column."""

    data_type: DataType = field(default_factory=DataType.binary, init=False)
    uri_column_name: str
    filesystem: Any = None

    def _key(self) -> Any:
        return self.uri_column_name

    def _label(self) -> Any:
        return f"DOWNLOAD({self.uri_column_name!r})"


@dataclass(frozen=True, eq=False, repr=False)
class RandomExpr(Expr):
    """Random numbers from 0 up to 1."""

    data_type: DataType = field(default_factory=DataType.float64, init=False)
    seed: int | None = None
    reseed_after_execution: bool = True
    _instance_id: str = field(default_factory=lambda: _uuid.uuid4().hex)

    def _key(self) -> Any:
        return (self.seed, self.reseed_after_execution)

    def is_idempotent(self) -> bool:
        """No."""
        return False

    def _label(self) -> Any:
        return f"RANDOM(seed={self.seed})"


@dataclass(frozen=True, eq=False, repr=False)
class UUIDExpr(Expr):
    """A random identifier in each row."""

    data_type: DataType = field(default_factory=DataType.string, init=False)

    def is_idempotent(self) -> bool:
        """No."""
        return False

    def _label(self) -> Any:
        return "UUID()"


@dataclass(frozen=True, eq=False, repr=False)
class MonotonicallyIncreasingIdExpr(Expr):
    """A number in each row, that increases along the dataset and is never used twice."""

    data_type: DataType = field(default_factory=DataType.int64, init=False)
    _instance_id: str = field(default_factory=lambda: _uuid.uuid4().hex)

    def is_idempotent(self) -> bool:
        """No."""
        return False

    def _label(self) -> Any:
        return "MONOTONICALLY_INCREASING_ID()"


def _call(function: str, *columns: Any, **options: Any) -> Any:
    import pyarrow.compute as pc

    return getattr(pc, function)(*columns, **options)


def _cast(target: pa.DataType, safe: bool, column: Any) -> Any:
    import pyarrow.compute as pc

    return pc.cast(column, target, safe=safe)


def arrow_function(function: str, *args: Expr, kind: DataType | None = None, **options: Any) -> UDFExpr:
    """An expression that calls one of Arrow's compute functions."""
    return UDFExpr(kind or DataType(object), functools.partial(_call, function, **options), list(args), {})


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
    "Operation",
    "Expr",
    "ColumnExpr",
    "LiteralExpr",
    "BinaryExpr",
    "RandomExpr",
    "UUIDExpr",
    "UnaryExpr",
    "UDFExpr",
    "DownloadExpr",
    "AliasExpr",
    "StarExpr",
    "UnnestExpr",
    "MonotonicallyIncreasingIdExpr",
    "pyarrow_udf",
    "udf",
    "arrow_function",
    "col",
    "lit",
    "download",
    "monotonically_increasing_id",
    "random",
    "star",
    "unnest",
    "uuid",
]
