"""The operators and functions of numbers that every expression has."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from skate.data.datatype import DataType

if TYPE_CHECKING:
    from skate.data.expressions.tree import BinaryExpr, Expr, UDFExpr, UnaryExpr


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


class Operators:
    """What makes larger expressions of one. `Expr` says how, by the methods whose names begin with an underscore."""

    data_type: DataType

    def _binary(self, other: Any, op: Operation) -> BinaryExpr:
        """This, the operation, and the other."""
        raise NotImplementedError

    def _reflected(self, other: Any, op: Operation) -> BinaryExpr:
        """The other, the operation, and this."""
        raise NotImplementedError

    def _unary(self, op: Operation) -> UnaryExpr:
        """The operation on this."""
        raise NotImplementedError

    def _compute(self, function: str, kind: DataType | None = None, **options: Any) -> UDFExpr:
        """One of Arrow's functions of this."""
        raise NotImplementedError

    def __add__(self, other: Any) -> Expr:
        return self._binary(other, Operation.ADD)

    def __radd__(self, other: Any) -> Expr:
        return self._reflected(other, Operation.ADD)

    def __sub__(self, other: Any) -> Expr:
        return self._binary(other, Operation.SUB)

    def __rsub__(self, other: Any) -> Expr:
        return self._reflected(other, Operation.SUB)

    def __mul__(self, other: Any) -> Expr:
        return self._binary(other, Operation.MUL)

    def __rmul__(self, other: Any) -> Expr:
        return self._reflected(other, Operation.MUL)

    def __truediv__(self, other: Any) -> Expr:
        return self._binary(other, Operation.DIV)

    def __rtruediv__(self, other: Any) -> Expr:
        return self._reflected(other, Operation.DIV)

    def __floordiv__(self, other: Any) -> Expr:
        return self._binary(other, Operation.FLOORDIV)

    def __rfloordiv__(self, other: Any) -> Expr:
        return self._reflected(other, Operation.FLOORDIV)

    def __mod__(self, other: Any) -> Expr:
        return self._binary(other, Operation.MOD)

    def __rmod__(self, other: Any) -> Expr:
        return self._reflected(other, Operation.MOD)

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
        return self._unary(Operation.NOT)

    def is_null(self) -> Expr:
        """Whether it is null."""
        return self._unary(Operation.IS_NULL)

    def is_not_null(self) -> Expr:
        """Whether it is not null."""
        return self._unary(Operation.IS_NOT_NULL)

    def is_in(self, values: list[Any] | Expr) -> Expr:
        """Whether it is one of these values."""
        return self._binary(values, Operation.IN)

    def not_in(self, values: list[Any] | Expr) -> Expr:
        """Whether it is none of these values."""
        return self._binary(values, Operation.NOT_IN)

    def abs(self) -> UDFExpr:
        """The absolute value."""
        return self._compute("abs_checked", self.data_type)

    def negate(self) -> UDFExpr:
        """The negative."""
        return self._compute("negate_checked", self.data_type)

    def sign(self) -> UDFExpr:
        """-1, 0 or 1."""
        return self._compute("sign")

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


__all__ = ["Operation", "Operators"]
