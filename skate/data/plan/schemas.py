"""The columns of an operator's result, as far as they can be told before it runs."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from skate.data.convert import unify_schemas
from skate.data.plan import evaluate
from skate.data.plan import logical as lg


def infer(op: lg.Operator) -> pa.Schema | None:
    """Its columns, or None if that takes running a user's function or reading a file."""
    if isinstance(op, lg.InputData):
        schemas = [b.schema for b in op.bundles if b.schema is not None and (b.rows or len(b.schema))]
        filled = [b.schema for b in op.bundles if b.rows and b.schema is not None]
        found = filled or schemas
        return unify_schemas(found) if found else None
    if isinstance(op, lg.Read):
        return op.schema
    if isinstance(op, lg.Project):
        return _projected(op)
    if isinstance(op, (lg.Filter, lg.Limit, lg.Sort, lg.RandomShuffle, lg.RandomizeBlocks, lg.RandomSample)):
        return infer(op.inputs[0])
    if isinstance(op, (lg.Repartition, lg.FilterRows)):
        return infer(op.inputs[0])
    if isinstance(op, (lg.Union, lg.Mix)):
        parts = [infer(child) for child in op.inputs]
        known = [part for part in parts if part is not None]
        return unify_schemas(known) if len(known) == len(parts) else None
    if isinstance(op, lg.Zip):
        return _zipped(op)
    return None


def _projected(op: lg.Project) -> pa.Schema | None:
    schema = infer(op.inputs[0])
    if schema is None:
        return None
    fields = []
    for expr in evaluate.expand(op.exprs, schema):
        kind = evaluate.result_type(expr, schema)
        if kind is None or expr.name is None:
            return None
        fields.append((expr.name, kind))
    return pa.schema(fields)


def _zipped(op: lg.Zip) -> pa.Schema | None:
    parts = [infer(child) for child in op.inputs]
    names: list[str] = []
    kinds = []
    for part in parts:
        if part is None:
            return None
        for field in part:
            names.append(fresh_name(field.name, names))
            kinds.append(field.type)
    return pa.schema(list(zip(names, kinds, strict=True)))


def looked_at(op: lg.Operator) -> lg.Operator:
    """A plan of the same columns that takes no more than a block of each input: orders are left out, functions run once at a time."""
    if isinstance(op, (lg.Sort, lg.RandomShuffle, lg.RandomizeBlocks, lg.Repartition)):
        return looked_at(op.inputs[0])
    children = [looked_at(child) for child in op.inputs]
    if isinstance(op, (lg.Join, lg.Zip, lg.Aggregate, lg.Distinct)):
        children = [lg.Limit((child,), 1) for child in children]
    compute = getattr(op, "compute", None)
    if isinstance(compute, lg.Compute) and (compute.explicit or compute.pool is not None):
        pool = None if compute.pool is None else (1, 1, 1)
        one = replace(compute, concurrency=1, pool=pool, in_flight=None if pool is None else 1, calls=None)
        op = replace(op, compute=one)  # type: ignore[call-arg]
    return op.with_inputs(children)


def fresh_name(name: str, taken: list[str]) -> str:
    """The name, with a number if it is taken: `x_1`."""
    if name not in taken:
        return name
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


__all__ = ["fresh_name", "infer", "looked_at"]
