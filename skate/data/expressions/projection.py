"""What a list of expressions gives: columns of the input in place of `star()` and `unnest()`, and the fields of the result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skate.data.expressions.sources import StarExpr, UnnestExpr
from skate.data.expressions.tree import AliasExpr, ColumnExpr, Expr

if TYPE_CHECKING:
    import pyarrow as pa


def is_rename_expr(expr: Expr) -> bool:
    """Whether an expression is a column that was renamed, and not a computed one with an alias."""
    return isinstance(expr, AliasExpr) and expr._is_rename and isinstance(expr.expr, ColumnExpr)


def expand_star_exprs(exprs: list[Expr], input_schema: pa.Schema) -> list[Expr]:
    """The expressions with the columns of the input in place of `star()`; a renamed column stands where it was.

    Args:
        exprs: The expressions.
        input_schema: The columns.
    """
    if not any(isinstance(expr, StarExpr) for expr in exprs):
        return list(exprs)
    renamed = {
        expr.expr.name: expr
        for expr in exprs
        if isinstance(expr, AliasExpr) and isinstance(expr.expr, ColumnExpr) and is_rename_expr(expr)
    }
    found: list[Expr] = []
    for expr in exprs:
        if isinstance(expr, StarExpr):
            found += [renamed.get(name, ColumnExpr(name)) for name in input_schema.names]
        elif not any(expr is other for other in renamed.values()):
            found.append(expr)
    return found


def expand_projection_exprs(exprs: list[Expr], input_schema: pa.Schema | None) -> list[Expr]:
    """The expressions with the columns that they stand for in place of `star()` and `unnest()`.

    Args:
        exprs: The expressions.
        input_schema: The columns of the input; None if they are not known, which leaves `star()` as it is.

    Raises:
        ValueError: the type that `unnest()` is of is not known.
    """
    if input_schema is not None:
        exprs = expand_star_exprs(exprs, input_schema)
    found: list[Expr] = []
    for expr in exprs:
        expanded = expr.expand_projection(input_schema)
        if any(isinstance(one, UnnestExpr) for one in expanded):
            raise ValueError(
                f"unnest() requires the struct type of the wrapped expression to be known when the plan is built, and that of "
                f"{expr.inline()} is not: give a dataset whose schema is known, or a function with a `return_dtype`."
            )
        found += expanded
    return found


def exprlist_to_fields(exprs: list[Expr], input_schema: pa.Schema) -> list[pa.Field] | None:
    """The fields that expressions give; None if one can't be told. Of several of one name, the last one counts.

    Args:
        exprs: The expressions.
        input_schema: The columns of the input.
    """
    fields: dict[str, pa.Field] = {}
    for expr in expand_projection_exprs(exprs, input_schema):
        field = expr.to_field(input_schema)
        if field is None:
            return None
        fields[field.name] = field
    return list(fields.values())


__all__ = ["expand_projection_exprs", "expand_star_exprs", "exprlist_to_fields", "is_rename_expr"]
