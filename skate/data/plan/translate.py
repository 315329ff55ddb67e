"""Expressions given to the native engine, where it computes the same as `evaluate` does.

The two differ in what NaN compares like, in the types that small integers and constants make, and in division by
zero. Each case here either removes the difference or leaves the expression to `evaluate`.
"""

from __future__ import annotations

import datetime
from typing import Any

import polars as pl
import pyarrow as pa

from skate.data import expressions as ex
from skate.data.expressions import Operation
from skate.data.plan.evaluate import result_type

_ARITHMETIC = {Operation.ADD, Operation.SUB, Operation.MUL}
_COMPARE = {Operation.GT, Operation.LT, Operation.GE, Operation.LE, Operation.EQ, Operation.NE}
_SIMPLE = (bool, int, float, str, datetime.date, datetime.datetime)


class _Untranslatable(Exception):
    pass


def to_polars(expr: ex.Expr, schema: pa.Schema) -> pl.Expr | None:
    """The expression for the native engine, or None if it would not mean the same there."""
    try:
        return _translate(expr, schema)
    except _Untranslatable:
        return None


def polars_type(kind: pa.DataType) -> Any:
    """The native engine's name of a type."""
    frame = pl.from_arrow(pa.schema([("c", kind)]).empty_table())
    return frame.schema["c"]  # type: ignore[union-attr]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _type(expr: ex.Expr, schema: pa.Schema) -> pa.DataType:
    kind = result_type(expr, schema)
    if kind is None:
        raise _Untranslatable
    return kind


def _translate(expr: ex.Expr, schema: pa.Schema) -> pl.Expr:
    if isinstance(expr, ex.ColumnExpr):
        if expr.name not in schema.names:
            raise _Untranslatable
        return pl.col(expr.name)
    if isinstance(expr, ex.AliasExpr):
        return _translate(expr.expr, schema).alias(expr.name)
    if isinstance(expr, ex.LiteralExpr):
        if expr.value is None or not isinstance(expr.value, _SIMPLE):
            raise _Untranslatable
        return pl.lit(expr.value, dtype=polars_type(_type(expr, schema)))
    if isinstance(expr, ex.UnaryExpr):
        inner = _translate(expr.operand, schema)
        if expr.op is Operation.NOT:
            if not pa.types.is_boolean(_type(expr.operand, schema)):
                raise _Untranslatable
            return ~inner
        return inner.is_null() if expr.op is Operation.IS_NULL else inner.is_not_null()
    if isinstance(expr, ex.BinaryExpr):
        return _binary(expr, schema)
    raise _Untranslatable


def _binary(expr: ex.BinaryExpr, schema: pa.Schema) -> pl.Expr:
    if expr.op in (Operation.IN, Operation.NOT_IN):
        return _membership(expr, schema)
    left, right = _translate(expr.left, schema), _translate(expr.right, schema)
    kinds = _type(expr.left, schema), _type(expr.right, schema)
    if expr.op in (Operation.AND, Operation.OR):
        if not all(pa.types.is_boolean(kind) for kind in kinds):
            raise _Untranslatable
        return left & right if expr.op is Operation.AND else left | right
    if expr.op in _ARITHMETIC or (expr.op is Operation.DIV and pa.types.is_floating(_type(expr, schema))):
        if not all(_is_number(kind) for kind in kinds):
            raise _Untranslatable
        target = polars_type(_type(expr, schema))
        left, right = left.cast(target), right.cast(target)
        if expr.op is Operation.ADD:
            return left + right
        if expr.op is Operation.SUB:
            return left - right
        return left * right if expr.op is Operation.MUL else left / right
    if expr.op in _COMPARE:
        return _compare(expr, left, right, kinds)
    raise _Untranslatable


def _compare(
    expr: ex.BinaryExpr, left: pl.Expr, right: pl.Expr, kinds: tuple[pa.DataType, pa.DataType]
) -> pl.Expr:
    same = kinds[0] == kinds[1] and (
        pa.types.is_string(kinds[0]) or pa.types.is_boolean(kinds[0]) or pa.types.is_temporal(kinds[0])
    )
    if not same and not all(_is_number(kind) for kind in kinds):
        raise _Untranslatable
    whole = {
        Operation.GT: left > right, Operation.LT: left < right, Operation.GE: left >= right,
        Operation.LE: left <= right, Operation.EQ: left == right, Operation.NE: left != right,
    }[expr.op]  # fmt: skip
    sides = ((left, kinds[0], expr.left), (right, kinds[1], expr.right))
    for _, _, source in sides:
        if isinstance(source, ex.LiteralExpr) and source.value != source.value:
            raise _Untranslatable
    # NaN is the greatest number and equal to itself in the engine; here it compares as false, and is unequal.
    floats = [
        side
        for side, kind, source in sides
        if pa.types.is_floating(kind) and not isinstance(source, ex.LiteralExpr)
    ]
    if len(floats) == 1 and isinstance(expr.right, ex.LiteralExpr):
        if expr.op in (Operation.GT, Operation.GE):
            return whole & floats[0].is_not_nan()  # in this form the engine skips parts of files by it
        return whole
    for side in floats:
        unordered = side.is_nan() & whole.is_not_null()
        whole = pl.when(unordered).then(expr.op is Operation.NE).otherwise(whole)
    return whole


def _membership(expr: ex.BinaryExpr, schema: pa.Schema) -> pl.Expr:
    if not isinstance(expr.right, ex.LiteralExpr):
        raise _Untranslatable
    values = list(expr.right.value)
    kind = _type(expr.left, schema)
    if not values or any(value is None for value in values):
        raise _Untranslatable
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind)):
        raise _Untranslatable
    wanted: type = int if pa.types.is_integer(kind) else str
    if not all(type(value) is wanted for value in values):
        raise _Untranslatable
    inner = _translate(expr.left, schema).is_in(pl.lit(pl.Series(values, dtype=polars_type(kind))).implode())
    found = inner.fill_null(False)  # a null is in no set, and that is known: not null
    return found if expr.op is Operation.IN else ~found


__all__ = ["polars_type", "to_polars"]
