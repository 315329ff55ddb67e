"""Expressions computed over an Arrow table. What this module says is what an expression means."""

from __future__ import annotations

import ast
import operator
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skate.data import expressions as ex
from skate.data.convert import column_from_values
from skate.data.expressions import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def _floor_divide(left: Any, right: Any) -> Any:
    return pc.floor(pc.divide(left, right))


def _modulo(left: Any, right: Any) -> Any:
    return pc.subtract(left, pc.multiply(right, _floor_divide(left, right)))


def _add(left: Any, right: Any) -> Any:
    if _is_text(left) or _is_text(right):
        return pc.binary_join_element_wise(left, right, "")
    return pc.add(left, right)


def _is_text(value: Any) -> bool:
    kind = getattr(value, "type", None)
    if kind is None:
        return isinstance(value, str)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_in(left: Any, right: Any) -> Any:
    return pc.is_in(left, _value_set(left, right))


def _value_set(left: Any, right: Any) -> Any:
    if isinstance(right, pa.Scalar):
        right = right.values if pa.types.is_list(right.type) else right.as_py()
    if isinstance(right, pa.ChunkedArray):
        right = right.combine_chunks()
    values = right if isinstance(right, pa.Array) else pa.array(list(right))
    return values if values.type == left.type else values.cast(left.type)


_BINARY: dict[Operation, Callable[[Any, Any], Any]] = {
    Operation.ADD: _add,
    Operation.SUB: pc.subtract,
    Operation.MUL: pc.multiply,
    Operation.DIV: pc.divide,
    Operation.FLOORDIV: _floor_divide,
    Operation.MOD: _modulo,
    Operation.GT: pc.greater,
    Operation.LT: pc.less,
    Operation.GE: pc.greater_equal,
    Operation.LE: pc.less_equal,
    Operation.EQ: pc.equal,
    Operation.NE: pc.not_equal,
    Operation.AND: pc.and_kleene,
    Operation.OR: pc.or_kleene,
    Operation.IN: _is_in,
    Operation.NOT_IN: lambda left, right: pc.invert(_is_in(left, right)),
}
_UNARY: dict[Operation, Callable[[Any], Any]] = {
    Operation.NOT: pc.invert,
    Operation.IS_NULL: pc.is_null,
    Operation.IS_NOT_NULL: pc.is_valid,
}


def evaluate(expr: ex.Expr, table: pa.Table, first_row: int = 0) -> Any:
    """The value of an expression over a table: a column, or a scalar for constants.

    Args:
        expr: The expression.
        table: The rows.
        first_row: The place of the table's first row in the dataset, for row numbers.

    Raises:
        KeyError: the table lacks a column.
        Exception: what Arrow, or the user's function, raises.
    """
    if isinstance(expr, ex.ColumnExpr):
        if expr.name not in table.column_names:
            raise KeyError(
                f"Field {expr.name!r} does not exist in schema: the dataset has the columns {table.column_names}."
            )
        return table.column(expr.name)
    if isinstance(expr, ex.LiteralExpr):
        return _scalar(expr.value)
    if isinstance(expr, ex.AliasExpr):
        return evaluate(expr.expr, table, first_row)
    if isinstance(expr, ex.BinaryExpr):
        left, right = evaluate(expr.left, table, first_row), evaluate(expr.right, table, first_row)
        return _BINARY[expr.op](left, right)
    if isinstance(expr, ex.UnaryExpr):
        return _UNARY[expr.op](evaluate(expr.operand, table, first_row))
    if isinstance(expr, ex.UDFExpr):
        args = [_argument(arg, table, first_row) for arg in expr.args]
        kwargs = {name: _argument(arg, table, first_row) for name, arg in expr.kwargs.items()}
        return expr.fn(*args, **kwargs)
    return _special(expr, table, first_row)


def _special(expr: ex.Expr, table: pa.Table, first_row: int) -> Any:
    rows = table.num_rows
    if isinstance(expr, ex.MonotonicallyIncreasingIdExpr):
        return pa.array(np.arange(first_row, first_row + rows))
    if isinstance(expr, ex.RandomExpr):
        rng = np.random.default_rng(None if expr.seed is None else [expr.seed, first_row])
        return pa.array(rng.random(rows))
    if isinstance(expr, ex.UUIDExpr):
        return pa.array([str(uuid.uuid4()) for _ in range(rows)], pa.string())
    if isinstance(expr, ex.DownloadExpr):
        from skate.data.datasource.files import download_all

        return download_all(table.column(expr.uri_column_name).to_pylist(), expr.filesystem)
    raise TypeError(f"{type(expr).__name__} has no value of its own: use it where columns are chosen.")


def _argument(expr: ex.Expr, table: pa.Table, first_row: int) -> Any:
    return expr.value if isinstance(expr, ex.LiteralExpr) else evaluate(expr, table, first_row)


def _scalar(value: Any) -> Any:
    if isinstance(value, np.generic):
        return pa.scalar(value.item(), pa.from_numpy_dtype(value.dtype))
    if isinstance(value, (np.ndarray, list, tuple)):
        return pa.array(value)
    return pa.scalar(value)


def evaluate_column(expr: ex.Expr, table: pa.Table, first_row: int = 0) -> Any:
    """The value of an expression as a column as long as the table."""
    if isinstance(expr, (ex.AliasExpr,)):
        expr = expr.expr
    if isinstance(expr, ex.LiteralExpr):
        value = expr.value
        if isinstance(value, (list, tuple, np.ndarray)):
            return column_from_values([value] * table.num_rows)
        return pa.repeat(_scalar(value), table.num_rows)
    value = evaluate(expr, table, first_row)
    if isinstance(value, pa.Scalar):
        return pa.repeat(value, table.num_rows)
    column = column_from_values(value)
    if len(column) != table.num_rows:
        raise ValueError(
            f"{expr.inline()} gave {len(column)} values for {table.num_rows} rows: a function of columns returns "
            "one value for each row."
        )
    return column


def project(exprs: Sequence[ex.Expr], table: pa.Table, first_row: int = 0) -> pa.Table:
    """The table of these columns; `star()` and `unnest()` stand for several. A later name replaces an earlier one."""
    columns: dict[str, Any] = {}
    metadata = table.schema.metadata
    for expr in expand(exprs, table.schema):
        name = expr.name
        if name is None:
            raise ValueError(f"{expr.inline()} has no name: give it one with .alias(name).")
        columns[name] = evaluate_column(expr, table, first_row)
    if not columns:
        return table.select([])
    return pa.table(columns, metadata=metadata)


def expand(exprs: Sequence[ex.Expr], schema: pa.Schema) -> list[ex.Expr]:
    """The columns of a projection over such a table. `star()` leaves out those that a rename has consumed."""
    renamed = {
        e.expr.name for e in exprs if isinstance(e, ex.AliasExpr) and e._is_rename and e.expr.name is not None
    }
    named: dict[str | None, ex.Expr] = {}
    for expr in exprs:
        for part in expr.expand_projection(schema):
            if isinstance(expr, ex.StarExpr) and part.name in renamed:
                continue
            named[part.name] = part
    return list(named.values())


def keep(expr: ex.Expr, table: pa.Table, first_row: int = 0) -> pa.Table:
    """The rows for which an expression is true: neither false nor null.

    Raises:
        TypeError: its values are no booleans.
    """
    mask = evaluate_column(expr, table, first_row)
    if not (pa.types.is_boolean(mask.type) or pa.types.is_null(mask.type)):
        raise TypeError(
            f"filter(expr={expr.inline()}): its values must be booleans, and they are {mask.type}."
        )
    if pa.types.is_null(mask.type):
        return table.slice(0, 0)
    return table.filter(mask)


def result_type(expr: ex.Expr, schema: pa.Schema) -> pa.DataType | None:
    """The type of an expression over such columns: what it gives over none of them."""
    try:
        return evaluate_column(expr, schema.empty_table()).type
    except Exception:  # noqa: BLE001 - a function that can't be asked without rows has no type beforehand
        return None


def columns_of(expr: ex.Expr) -> set[str] | None:
    """The columns that an expression reads; None for all."""
    if isinstance(expr, ex.ColumnExpr):
        return {expr.name}
    if isinstance(expr, ex.DownloadExpr):
        return {expr.uri_column_name}
    if isinstance(expr, ex.StarExpr):
        return None
    found: set[str] = set()
    for child in expr.children():
        inner = columns_of(child)
        if inner is None:
            return None
        found |= inner
    return found


def substitute(expr: ex.Expr, replacements: dict[str, ex.Expr]) -> ex.Expr:
    """The expression with columns replaced by what they are computed from."""
    import dataclasses

    if isinstance(expr, ex.ColumnExpr):
        found = replacements.get(expr.name, expr)
        return found.expr if isinstance(found, ex.AliasExpr) else found
    if isinstance(expr, ex.BinaryExpr):
        return ex.BinaryExpr(
            expr.op, substitute(expr.left, replacements), substitute(expr.right, replacements)
        )
    if isinstance(expr, ex.UnaryExpr):
        return ex.UnaryExpr(expr.op, substitute(expr.operand, replacements))
    if isinstance(expr, ex.AliasExpr):
        return dataclasses.replace(expr, expr=substitute(expr.expr, replacements))
    if isinstance(expr, ex.UDFExpr):
        return dataclasses.replace(
            expr,
            args=[substitute(arg, replacements) for arg in expr.args],
            kwargs={name: substitute(arg, replacements) for name, arg in expr.kwargs.items()},
        )
    return expr


_ARROW_BINARY: dict[Operation, Callable[[Any, Any], Any]] = {
    Operation.ADD: operator.add,
    Operation.SUB: operator.sub,
    Operation.MUL: operator.mul,
    Operation.DIV: operator.truediv,
    Operation.GT: operator.gt,
    Operation.LT: operator.lt,
    Operation.GE: operator.ge,
    Operation.LE: operator.le,
    Operation.EQ: operator.eq,
    Operation.NE: operator.ne,
    Operation.AND: operator.and_,
    Operation.OR: operator.or_,
}


def to_pyarrow_expression(expr: ex.Expr) -> Any:
    """The same as an expression of Arrow's.

    Raises:
        TypeError: a part of it has no counterpart there.
    """
    if isinstance(expr, ex.ColumnExpr):
        return pc.field(expr.name)
    if isinstance(expr, ex.LiteralExpr):
        return pc.scalar(expr.value)
    if isinstance(expr, ex.AliasExpr):
        return to_pyarrow_expression(expr.expr)
    if isinstance(expr, ex.UnaryExpr):
        inner = to_pyarrow_expression(expr.operand)
        if expr.op is Operation.NOT:
            return ~inner
        return inner.is_null() if expr.op is Operation.IS_NULL else inner.is_valid()
    if isinstance(expr, ex.BinaryExpr):
        if expr.op in (Operation.IN, Operation.NOT_IN) and isinstance(expr.right, ex.LiteralExpr):
            found = to_pyarrow_expression(expr.left).isin(list(expr.right.value))
            return found if expr.op is Operation.IN else ~found
        if expr.op in _ARROW_BINARY:
            return _ARROW_BINARY[expr.op](to_pyarrow_expression(expr.left), to_pyarrow_expression(expr.right))
    raise TypeError(
        f"{expr.inline()} can't be written as an expression of Arrow's: apply it to the rows instead."
    )


_AST: dict[type, Operation] = {
    ast.Add: Operation.ADD, ast.Sub: Operation.SUB, ast.Mult: Operation.MUL, ast.Div: Operation.DIV,
    ast.FloorDiv: Operation.FLOORDIV, ast.Mod: Operation.MOD, ast.Gt: Operation.GT, ast.Lt: Operation.LT,
    ast.GtE: Operation.GE, ast.LtE: Operation.LE, ast.Eq: Operation.EQ, ast.NotEq: Operation.NE,
    ast.In: Operation.IN, ast.NotIn: Operation.NOT_IN, ast.BitAnd: Operation.AND, ast.BitOr: Operation.OR,
}  # fmt: skip


def parse(text: str) -> ex.Expr:
    """An expression from text like `"x > 1 and name == 'a'"`; names are columns.

    Raises:
        ValueError: the text is no expression, or holds something that filters lack.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise ValueError(f"Invalid syntax in the expression: {text!r}: {error}") from error
    return _parse(tree.body, text)


def _parse(node: ast.AST, text: str) -> ex.Expr:
    if isinstance(node, ast.Name):
        return ex.col(node.id)
    if isinstance(node, ast.Constant):
        return ex.lit(node.value)
    if isinstance(node, (ast.List, ast.Tuple)):
        return ex.lit([ast.literal_eval(item) for item in node.elts])
    if isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            return ex.lit(ast.literal_eval(node))
        if isinstance(node.op, (ast.Not, ast.Invert)):
            return ~_parse(node.operand, text)
    if isinstance(node, ast.BoolOp):
        op = Operation.AND if isinstance(node.op, ast.And) else Operation.OR
        parts = [_parse(value, text) for value in node.values]
        whole = parts[0]
        for part in parts[1:]:
            whole = ex.BinaryExpr(op, whole, part)
        return whole
    if isinstance(node, ast.BinOp) and type(node.op) in _AST:
        return ex.BinaryExpr(_AST[type(node.op)], _parse(node.left, text), _parse(node.right, text))
    if isinstance(node, ast.Compare):
        return _parse_compare(node, text)
    if isinstance(node, ast.Attribute) and isinstance(node.value, (ast.Name, ast.Attribute)):
        inner = _parse(node.value, text)
        return inner.struct.field(node.attr)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _parse_call(node, node.func.id, text)
    if isinstance(node, ast.Call):
        raise ValueError(
            f"Unsupported function: {ast.unparse(node.func)} in {text!r}: use is_null, is_nan or is_in."
        )
    raise ValueError(
        f"Unsupported expression: {ast.unparse(node)!r} in {text!r}: build it with col() and lit()."
    )


def _parse_compare(node: ast.Compare, text: str) -> ex.Expr:
    left = _parse(node.left, text)
    whole: ex.Expr | None = None
    for op, comparator in zip(node.ops, node.comparators, strict=True):
        right = _parse(comparator, text)
        if isinstance(op, (ast.Is, ast.IsNot)):
            part = left.is_null() if isinstance(op, ast.Is) else left.is_not_null()
        elif type(op) in _AST:
            part = ex.BinaryExpr(_AST[type(op)], left, right)
        else:
            raise ValueError(f"Unsupported comparison: {type(op).__name__} in {text!r}.")
        whole = part if whole is None else whole & part
        left = right
    if whole is None:
        raise ValueError(f"{text!r} compares nothing.")
    return whole


def _parse_call(node: ast.Call, name: str, text: str) -> ex.Expr:
    args = [_parse(arg, text) for arg in node.args]
    if name == "is_null" and len(args) == 1:
        return args[0].is_null()
    if name in ("is_valid", "is_not_null") and len(args) == 1:
        return args[0].is_not_null()
    if name == "is_nan" and len(args) == 1:
        return ex.arrow_function("is_nan", args[0])
    if name == "is_in" and len(args) == 2:
        return args[0].is_in(args[1])
    raise ValueError(f"Unsupported function: {name} in {text!r}: use is_null, is_valid, is_nan or is_in.")


__all__ = [
    "columns_of",
    "evaluate",
    "evaluate_column",
    "expand",
    "keep",
    "parse",
    "project",
    "result_type",
    "substitute",
    "to_pyarrow_expression",
]
