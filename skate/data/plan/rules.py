"""Rewrite rules: small functions from a plan to a plan that means the same and does less."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa

from skate.data import expressions as ex
from skate.data.datasource.pushdown import Pushdown
from skate.data.plan import evaluate
from skate.data.plan import logical as lg

Rule = Callable[[lg.Operator], lg.Operator]


def optimise(op: lg.Operator) -> lg.Operator:
    """The plan after all rules, from its inputs upwards, until none changes it."""
    op = op.with_inputs([optimise(child) for child in op.inputs])
    for _ in range(32):  # each rule moves an operator down or removes one: this ends by itself
        before = op
        for rule in RULES:
            op = rule(op)
        if op is before:
            return op
        op = op.with_inputs([optimise(child) for child in op.inputs])
    return op


def merge_limits(op: lg.Operator) -> lg.Operator:
    """A limit of a limit is the smaller one."""
    if isinstance(op, lg.Limit) and isinstance(op.inputs[0], lg.Limit):
        inner = op.inputs[0]
        return replace(inner, limit=min(op.limit, inner.limit))
    return op


def push_limit(op: lg.Operator) -> lg.Operator:
    """A limit goes below what makes one row of each row."""
    if isinstance(op, lg.Limit):
        child = op.inputs[0]
        if isinstance(child, (lg.MapRows, lg.Project)) and _is_plain(child):
            return child.with_inputs([replace(op, inputs=child.inputs)])
    return op


def _is_plain(op: lg.MapRows | lg.Project) -> bool:
    return isinstance(op, lg.MapRows) or all(expr.is_idempotent() for expr in op.exprs)


def merge_filters(op: lg.Operator) -> lg.Operator:
    """A filter of a filter is one of both conditions."""
    if isinstance(op, lg.Filter) and isinstance(op.inputs[0], lg.Filter):
        inner = op.inputs[0]
        if op.predicate.is_idempotent() and inner.predicate.is_idempotent() and op.compute == inner.compute:
            return replace(inner, predicate=inner.predicate & op.predicate)
    return op


def push_filter(op: lg.Operator) -> lg.Operator:
    """A filter goes below what does not change its columns: sorting, shuffling, projections, unions."""
    if not isinstance(op, lg.Filter) or not op.predicate.is_idempotent():
        return op
    child = op.inputs[0]
    if isinstance(child, lg.Sort):
        return child.with_inputs([replace(op, inputs=child.inputs)])
    if isinstance(child, lg.Union):
        return child.with_inputs([replace(op, inputs=(part,)) for part in child.inputs])
    if isinstance(child, lg.Project):
        moved = _below_projection(op.predicate, child)
        if moved is not None:
            return child.with_inputs([replace(op, inputs=child.inputs, predicate=moved)])
    return op


def _below_projection(predicate: ex.Expr, project: lg.Project) -> ex.Expr | None:
    """The predicate over the projection's input, if it needs only columns that are passed through."""
    needed = evaluate.columns_of(predicate)
    if needed is None:
        return None
    has_star = any(isinstance(expr, ex.StarExpr) for expr in project.exprs)
    sources: dict[str, ex.Expr] = {}
    consumed: set[str] = set()
    for expr in project.exprs:
        inner = expr.expr if isinstance(expr, ex.AliasExpr) else expr
        if expr.name is not None:
            sources[expr.name] = inner
        if isinstance(expr, ex.AliasExpr) and expr._is_rename and inner.name is not None:
            consumed.add(inner.name)
    for name in needed:
        source = sources.get(name)
        if source is None:
            if not has_star or name in consumed:
                return None
        elif not isinstance(source, ex.ColumnExpr):
            return None
    return evaluate.substitute(predicate, sources)


def merge_projections(op: lg.Operator) -> lg.Operator:
    """A projection of a projection is one, if that computes nothing twice."""
    if not isinstance(op, lg.Project) or not isinstance(op.inputs[0], lg.Project):
        return op
    inner = op.inputs[0]
    if op.compute != inner.compute or any(
        isinstance(expr, (ex.StarExpr, ex.UnnestExpr)) for expr in (*op.exprs, *inner.exprs)
    ):
        return op
    sources = {expr.name: expr for expr in inner.exprs if expr.name is not None}
    used: list[str] = []
    for expr in op.exprs:
        needed = evaluate.columns_of(expr)
        if needed is None or not needed <= set(sources):
            return op
        used += needed
    computed = [n for n in used if not isinstance(_source(sources[n]), ex.ColumnExpr)]
    if len(computed) != len(set(computed)) or not all(sources[n].is_idempotent() for n in computed):
        return op
    exprs = []
    for expr in op.exprs:
        moved = evaluate.substitute(expr, sources)
        if expr.name is not None and moved.name != expr.name:
            moved = moved.alias(expr.name)
        exprs.append(moved)
    return replace(inner, exprs=tuple(exprs))


def _source(expr: ex.Expr) -> ex.Expr:
    return expr.expr if isinstance(expr, ex.AliasExpr) else expr


def drop_order_before_order(op: lg.Operator) -> lg.Operator:
    """Blocks need not be put in random order before their rows are put in another."""
    if isinstance(op, (lg.RandomShuffle, lg.Sort)) and isinstance(op.inputs[0], lg.RandomizeBlocks):
        return op.with_inputs(op.inputs[0].inputs)
    return op


def push_into_read(op: lg.Operator) -> lg.Operator:
    """A read gives only the columns that are asked for, and leaves out rows that a filter would."""
    if isinstance(op, lg.Project) and isinstance(op.inputs[0], lg.Read):
        return _prune(op, op.inputs[0])
    if isinstance(op, lg.Filter) and isinstance(op.inputs[0], lg.Read):
        return _filter_read(op, op.inputs[0])
    return op


def _prune(op: lg.Project, read: lg.Read) -> lg.Operator:
    source = read.datasource
    if not isinstance(source, Pushdown) or not source.supports_projection_pushdown():
        return op
    needed: dict[str, None] = {}
    for expr in op.exprs:
        columns = evaluate.columns_of(expr)
        if columns is None:
            return op
        needed.update(dict.fromkeys(sorted(columns)))
    if read.schema is None:
        return op.with_inputs([_with_columns(read, source, list(needed))])
    wanted = [name for name in read.schema.names if name in needed]
    if not wanted or len(wanted) == len(read.schema.names) or not set(needed) <= set(read.schema.names):
        return op
    return op.with_inputs([_with_columns(read, source, wanted)])


def _with_columns(read: lg.Read, source: Pushdown, columns: list[str]) -> lg.Read:
    """The read of these columns only."""
    prune = getattr(source, "prune_columns", None)
    if prune is not None:
        pruned: lg.Read = prune(read, columns)
        return pruned
    known = source.get_projection_map()
    if known is not None and set(known) <= set(columns):
        return read
    chosen: Any = source.apply_projection({name: name for name in columns})
    schema = None if read.schema is None else pa.schema([read.schema.field(name) for name in columns])
    return replace(read, datasource=chosen, source=chosen._tasks, schema=schema)


def _filter_read(op: lg.Filter, read: lg.Read) -> lg.Operator:
    source = read.datasource
    if not isinstance(source, Pushdown) or not source.supports_predicate_pushdown():
        return op
    push = getattr(source, "push_predicate", None)
    if push is not None:
        pushed: lg.Read | None = push(read, op.predicate)
        return op if pushed is None else pushed
    if not op.predicate.is_idempotent() or evaluate.columns_of(op.predicate) is None:
        return op
    chosen: Any = source.apply_predicate(op.predicate)
    return replace(read, datasource=chosen, source=chosen._tasks, predicate=chosen.get_current_predicate())


RULES: tuple[Rule, ...] = (
    merge_limits,
    push_limit,
    merge_filters,
    push_filter,
    merge_projections,
    drop_order_before_order,
    push_into_read,
)


__all__ = [
    "RULES",
    "Rule",
    "drop_order_before_order",
    "merge_filters",
    "merge_limits",
    "merge_projections",
    "optimise",
    "push_filter",
    "push_into_read",
    "push_limit",
]
