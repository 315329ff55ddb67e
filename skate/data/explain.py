"""The text of `Dataset.explain()`."""

from __future__ import annotations

from skate.data.execution.executor import Execution
from skate.data.plan import logical as lg


def explain(plan: lg.Operator) -> str:
    """The plan as it was built, as the rules leave it, and as it runs."""
    run = Execution(plan)
    parts = []
    for title, op in (("Logical Plan", plan), ("Logical Plan (Optimized)", run.plan)):
        parts.append(
            f"\n-------- {title} --------\n" + "\n".join(_tree(op, 0, lambda o: f"{o.kind}[{o.name}]"))
        )
    parts.append(
        "\n-------- Physical Plan --------\n" + "\n".join(_tree(run.plan, 0, lambda o: _stage(run, o)))
    )
    return "\n".join(parts) + "\n"


def _tree(op: lg.Operator, depth: int, label) -> list[str]:  # type: ignore[no-untyped-def]
    lead = f"{'   ' * (depth - 1)}+- " if depth else ""
    lines = [lead + label(op)]
    for child in op.inputs:
        lines += _tree(child, depth + 1, label)
    return lines


def _stage(run: Execution, op: lg.Operator) -> str:
    if isinstance(op, lg.InputData):
        return f"InputDataBuffer[Input: {len(op.bundles)} blocks]"
    pushed = ""
    if isinstance(op, lg.Read):
        columns = op.scan.columns if op.scan is not None else None
        if columns is not None:
            pushed += f", columns={list(columns)}"
        if op.predicate is not None:
            pushed += f", filter={op.predicate.inline()}"
    if run._is_native(op):
        return f"Native[{op.name}{pushed}]"
    compute = getattr(op, "compute", None)
    if isinstance(compute, lg.Compute) and compute.pool is not None:
        return f"ActorPool[{op.name}, {compute.pool[0]} to {compute.pool[1]} actors]"
    if isinstance(op, (lg.AbstractMap, lg.Project, lg.Filter, lg.Read, lg.RandomSample, lg.MapGroups)):
        return f"Tasks[{op.name}{pushed}]"
    return f"Blocks[{op.name}]"


__all__ = ["explain"]
