"""Expressions over columns: `col("x") + 1`, `col("name").str.upper()`, `lit(0)`.

An expression is a small immutable tree. `skate.data.plan.evaluate` computes one over an Arrow table, and
`skate.data.plan.translate` gives those that it can to the native engine.
"""

from __future__ import annotations

from typing import Any

from skate.data.expressions.functions import (
    col,
    download,
    lit,
    monotonically_increasing_id,
    pyarrow_udf,
    random,
    star,
    udf,
    unnest,
    uuid,
)
from skate.data.expressions.operators import Operation
from skate.data.expressions.projection import (
    expand_projection_exprs,
    expand_star_exprs,
    exprlist_to_fields,
    is_rename_expr,
)
from skate.data.expressions.sources import (
    DownloadExpr,
    MonotonicallyIncreasingIdExpr,
    RandomExpr,
    StarExpr,
    UnnestExpr,
    UUIDExpr,
)
from skate.data.expressions.tree import (
    AliasExpr,
    BinaryExpr,
    ColumnExpr,
    Expr,
    LiteralExpr,
    UDFExpr,
    UnaryExpr,
    arrow_function,
)

BatchColumn = Any


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
    "expand_projection_exprs",
    "expand_star_exprs",
    "exprlist_to_fields",
    "is_rename_expr",
]
