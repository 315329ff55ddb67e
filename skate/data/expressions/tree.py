"""The nodes that expressions are made of: columns, constants, operations, functions, names, whole rows."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from skate.data.datatype import DataType
from skate.data.expressions.operators import Operation, Operators

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

_SIGNS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%", "floordiv": "//", "gt": ">", "lt": "<",
    "ge": ">=", "le": "<=", "eq": "==", "ne": "!=", "and": "&", "or": "|", "in": "in", "not_in": "not in",
}  # fmt: skip


def _operand(value: Any) -> Expr:
    return value if isinstance(value, Expr) else LiteralExpr(value)


@dataclass(frozen=True, eq=False, repr=False)
class Expr(Operators):
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

    def _reflected(self, other: Any, op: Operation) -> BinaryExpr:
        return BinaryExpr(op, _operand(other), self)

    def _unary(self, op: Operation) -> UnaryExpr:
        return UnaryExpr(op, self)

    def _compute(self, function: str, kind: DataType | None = None, **options: Any) -> UDFExpr:
        return arrow_function(function, self, kind=kind, **options)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise TypeError(
            "An expression has no truth value before it is computed: combine with & | ~ instead of and, or, not."
        )

    def alias(self, name: str) -> Expr:
        """The same under another name."""
        return AliasExpr(self.data_type, self, name, _is_rename=False)

    def power(self, exponent: Any) -> UDFExpr:
        """To the power of `exponent`."""
        return UDFExpr(self.data_type, functools.partial(_call, "power"), [self, _operand(exponent)], {})

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
        yield f"    {'└' if last else '├'}── {f'{name}: ' if name else ''}{lines[0]}"
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
        identity: Any = self.fn
        if isinstance(identity, functools.partial):
            identity = identity.func, identity.args, tuple(sorted(identity.keywords.items()))
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
        return f"ALIAS({self._name!r})" + (" [rename]" if self._is_rename else "")

    def _named_children(self) -> Any:
        return [("", self.expr)]

    def inline(self) -> Any:
        """`expr.alias('name')`."""
        return f"{self.expr.inline()}.alias({self._name!r})"


def _call(function: str, *columns: Any, **options: Any) -> Any:
    import pyarrow.compute as pc

    return getattr(pc, function)(*columns, **options)


def _cast(target: pa.DataType, safe: bool, column: Any) -> Any:
    import pyarrow.compute as pc

    return pc.cast(column, target, safe=safe)


def arrow_function(function: str, *args: Expr, kind: DataType | None = None, **options: Any) -> UDFExpr:
    """An expression that calls one of Arrow's compute functions."""
    return UDFExpr(kind or DataType(object), functools.partial(_call, function, **options), list(args), {})


__all__ = [
    "AliasExpr",
    "BinaryExpr",
    "ColumnExpr",
    "Expr",
    "LiteralExpr",
    "UDFExpr",
    "UnaryExpr",
    "arrow_function",
]
