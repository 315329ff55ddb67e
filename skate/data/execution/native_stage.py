"""Operators given to the native engine: in memory, or bucket by bucket over the disk when their inputs are large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from skate.data.execution import external, groups, memory
from skate.data.plan import logical as lg
from skate.data.plan import native

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skate.data.plan.native import NativeFrame


def nothing() -> NativeFrame:
    """Neither rows nor columns."""
    return native.from_table(pa.table({}))


def of_nothing(op: lg.Operator, children: list[NativeFrame]) -> NativeFrame:
    """Operators over inputs without columns: datasets that are empty and of unknown schema."""
    if isinstance(op, lg.Aggregate) and not op.keys:
        return native.from_table(pa.table({agg.name: [_of_none(agg)] for agg in op.aggs}))
    if isinstance(op, lg.Join):
        raise ValueError("join: one of the datasets has no columns, so there is nothing to match by.")
    return children[0]


def _of_none(agg: Any) -> Any:
    return 0 if type(agg).__name__ in ("Count", "CountDistinct") else None


def build(op: lg.Operator, children: list[NativeFrame]) -> NativeFrame:
    """The operator as a computation of the engine over its inputs.

    Raises:
        ValueError: an input lacks a column.
    """
    child = children[0]
    is_large = sum(part.size_bytes for part in children) > memory.budget()
    if isinstance(op, lg.Sort):
        require(op.keys, child.schema)
        whole = native.sorted_by(child, op.keys, op.descending)
        return _on_disk(op, whole, children) if is_large else whole
    if isinstance(op, lg.Distinct):
        require(op.keys, child.schema)
        return native.distinct(child, op.keys)
    if isinstance(op, lg.Join):
        require(op.left_on, child.schema)
        require(op.right_on, children[1].schema)
        whole = native.joined(
            child, children[1], op.how, op.left_on, op.right_on, op.left_suffix, op.right_suffix
        )
        return _on_disk(op, whole, children) if is_large else whole
    if isinstance(op, lg.SQL):
        return native.queried(children, op.names, op.query)
    if isinstance(op, lg.Aggregate):
        require(op.keys, child.schema)
        aggs = groups.native_aggs(op.aggs, child.schema)
        whole = native.grouped(child, op.keys, aggs)
        if (
            is_large
            and op.keys
            and (groups.keep_values(op.aggs) or not external.are_few_groups(child, op.keys))
        ):
            return _on_disk(op, whole, children)
        return whole
    raise TypeError(f"{op.name} is no work for the native engine.")


def _on_disk(op: lg.Operator, whole: NativeFrame, children: list[NativeFrame]) -> NativeFrame:
    """What the engine would compute in memory, computed bucket by bucket."""
    budget, child = memory.budget(), children[0]
    if isinstance(op, lg.Sort):
        tables = external.sorted_by(child, op.keys, op.descending, budget)
    elif isinstance(op, lg.Aggregate):
        tables = external.grouped(child, op.keys, groups.native_aggs(op.aggs, child.schema), budget)
    elif isinstance(op, lg.Join):
        suffixes = (op.left_suffix, op.right_suffix)
        tables = external.joined(child, children[1], op.how, op.left_on, op.right_on, suffixes, budget)
    else:
        raise TypeError(f"{op.name} has no way over the disk.")
    return native.from_stream(whole.schema, tables, whole.size_bytes)


def require(columns: Sequence[str], schema: pa.Schema) -> None:
    """Check that the columns exist.

    Raises:
        ValueError: one does not.
    """
    for name in columns:
        if name not in schema.names:
            raise ValueError(
                f"You specified the column '{name}', but there's no such column in the dataset. The dataset has "
                f"columns: {list(schema.names)}"
            )


__all__ = ["build", "nothing", "of_nothing", "require"]
